"""What a participant adds to something incomplete: theirs alone to write and to take back, sealed, shown beside what it
is about to whoever may see that, in the copy, and gone with it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, text, update

from app.database import now_in
from app.privacy.erasing.service import run_erasure
from app.privacy.records.models import DataRequest
from app.sessions.models import Recording, Session, SessionState
from app.sessions.response_models import Response, Supplement
from recordings.model import RecordingId
from tests.app.test_noting import inside
from tests.fixtures.erasing import SpyNodes, ask
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

WHERE, WORDS = "/my-data/supplements", "Before this I had explained it."


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    found = await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True, seconds=1.0)
    async with cast.wiring.database.transaction(cast.account) as db:
        ended = {"state": SessionState.ENDED, "ended_at": await now_in(db)}
        await db.execute(update(Session).where(Session.id == cast.session).values(**ended))
    return found


async def added(cast: Cast, about: object, words: str = WORDS) -> int:
    return (await (await inside(cast)).post(WHERE, data={"about": str(about), "words": words})).status_code


async def rows(cast: Cast) -> list[Supplement]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Supplement)))


async def test_only_the_participant_behind_the_code_adds_and_takes_back(cast: Cast, recording: RecordingId) -> None:
    assert await added(cast, recording) == 303
    [row] = await rows(cast)
    back, form = f"{WHERE}/{row.id}/take-back", {"about": str(recording), "words": "Mine."}
    for who in EVERYONE:
        browser = await cast.browser(who)
        seen = [await browser.get(WHERE), await browser.post(WHERE, data=form), await browser.post(back)]
        assert [one.status_code for one in seen] == [401] * 3, who
    ben = await inside(cast, "other_participant")
    assert (await ben.post(WHERE, data=form)).status_code == 422, "somebody else's recording"
    assert (await ben.post(back)).status_code == 404
    assert WORDS not in (await ben.get(WHERE)).text
    anna = await inside(cast)
    assert WORDS in (await anna.get(WHERE)).text
    assert [(await anna.post(back)).status_code, (await anna.post(back)).status_code] == [303, 404]
    assert await rows(cast) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"words": ""}, "Please fill this in"),
        ({"words": "x" * 10_001}, "at most 10,000 characters"),
        ({"words": "\x00"}, "Control characters"),
        ({"about": ""}, "Please choose one of the list"),
        ({"about": str(uuid4())}, "Please choose one of the list"),
    ],
)
async def test_what_does_not_fit_is_said_and_adds_nothing(
    cast: Cast, recording: RecordingId, values: dict[str, str], said: str
) -> None:
    answer = await (await inside(cast)).post(WHERE, data={"about": str(recording), "words": WORDS} | values)
    assert answer.status_code == 422 and said in answer.text
    assert await rows(cast) == []


async def test_it_is_shown_beside_the_recording_to_whoever_may_see_that(cast: Cast, recording: RecordingId) -> None:
    review = f"/sessions/{cast.session}/review"
    await added(cast, recording, "<b>Before</b> this I had explained it.")
    for who in EVERYONE:
        page = await (await cast.browser(who)).get(review)
        shown = "&lt;b&gt;Before&lt;/b&gt; this" in page.text
        assert shown is (who in ("owner", "researcher")), who
    await (await inside(cast)).post("/my-data/restrict")
    assert "this I had" not in (await (await cast.browser("owner")).get(review)).text
    assert "this I had" in (await (await inside(cast)).get(WHERE)).text, "they themselves go on reading it"


async def test_it_is_shown_beside_answers(cast: Cast, recording: RecordingId) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        response = Response(
            account_id=cast.account, session_id=cast.session, participant_id=cast.participant.participant
        )
        db.add(response)
    assert await added(cast, response.id) == 303
    answers = f"/sessions/{cast.session}/answers"
    for who in EVERYONE:
        page = await (await cast.browser(who)).get(answers)
        assert (WORDS in page.text) is (who in ("owner", "researcher")), who
    assert WORDS not in (await (await cast.browser("owner")).get(f"/sessions/{cast.session}/review")).text
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Response).values(restricted_at=await now_in(db)))
    assert WORDS not in (await (await cast.browser("owner")).get(answers)).text


async def test_it_is_sealed_and_stands_in_the_register_and_in_the_copy(cast: Cast, recording: RecordingId) -> None:
    await added(cast, recording)
    async with cast.wiring.database.transaction(cast.account) as db:
        [kept] = (await db.scalars(text("SELECT supplement::text FROM supplement"))).all()
        assert WORDS not in kept and WORDS.encode().hex() not in kept
        assert [(one.kind, one.state) for one in await db.scalars(select(DataRequest))] == [("rectification", "done")]
    copy = await (await inside(cast)).get("/my-data/export.zip")
    with zipfile.ZipFile(io.BytesIO(copy.content)) as archive:
        everything = json.loads(archive.read("data.json"))
    assert [one["text"] for one in everything["supplement"]] == [WORDS]


@pytest.mark.parametrize("whole", [True, False])
async def test_it_goes_with_what_it_is_about(cast: Cast, recording: RecordingId, whole: bool) -> None:
    await added(cast, recording)
    erasure = await ask(cast, cast.participant.participant, **({} if whole else {"recordings": [recording]}))
    if not whole:
        assert await added(cast, recording) == 422, "nothing is added to what is being erased"
    await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())
    assert await rows(cast) == []
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.get_one(Recording, recording)).erased_at is not None
