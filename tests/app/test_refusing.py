"""Refusing a request, wholly or in part: with a reason the law knows for its kind, named to the participant together
with where to complain; what is granted in part is granted thing by thing."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from app.database import now_in
from app.language import Language
from app.mail.models import MailState, OutgoingMail
from app.participants.models import Participant
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import receipt_token
from app.privacy.erasing.service import run_erasure
from app.privacy.keeping.retention import sweep
from app.privacy.records.grounds import OF_HOLDS, WORDS, Ground, grounds_for
from app.privacy.records.models import DataRequest, RequestItem, RequestKind, RequestOutcome, RequestState
from app.privacy.rights.deciding import Answer, fits
from app.privacy.rights.items import Item, Outcome
from app.sessions.models import HoldReason, Recording
from recordings.model import RecordingId, StreamKind
from tests.app.test_noting import inside
from tests.app.test_requests import asked, requests
from tests.fixtures.erasing import SpyNodes, ask
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

GRANTED, PARTLY, REFUSED = RequestOutcome.GRANTED, RequestOutcome.PARTLY, RequestOutcome.REFUSED
COMPLAIN = ("data protection authority (GDPR Art. 77)", "court (Art. 79)")


def outcome(ground: Ground | None) -> Outcome:
    return Outcome(item=Item(id=uuid4(), sort="camera", title="Pilot"), ground=ground)


@pytest.mark.parametrize(("kind", "ground"), product(RequestKind, Ground))
def test_a_refusal_needs_a_reason_the_law_knows_for_its_kind(kind: RequestKind, ground: Ground) -> None:
    known = ground in grounds_for(kind)
    assert bool(fits(kind, Answer(outcome=REFUSED, words="No.", ground=ground))) is known
    assert not fits(kind, Answer(outcome=REFUSED, words="No."))
    assert not fits(kind, Answer(outcome=GRANTED, words="Yes.", ground=ground))
    in_part = Answer(outcome=PARTLY, words="Some.", items=[outcome(None), outcome(ground)])
    assert bool(fits(kind, in_part)) is known


def test_a_part_is_neither_everything_nor_nothing() -> None:
    kind, ground = RequestKind.OBJECTION, Ground.CLAIMS
    for items in ([], [outcome(None)], [outcome(ground)], [outcome(ground), outcome(ground)]):
        assert not fits(kind, Answer(outcome=PARTLY, words="Some.", items=items))
    assert not fits(kind, Answer(outcome=REFUSED, words="No.", ground=ground, items=[outcome(None), outcome(ground)]))


def test_every_kind_has_its_articles() -> None:
    def articles(kind: RequestKind) -> str:
        return " ".join(WORDS[ground] for ground in grounds_for(kind))

    assert all(f"17(3)({letter})" in articles(RequestKind.ERASURE) for letter in "abcde")
    assert "21(1)" in articles(RequestKind.OBJECTION) and "20(4)" in articles(RequestKind.ACCESS)
    assert "18(1)" in articles(RequestKind.RESTRICTION) and "Art. 16" in articles(RequestKind.RECTIFICATION)
    assert grounds_for(RequestKind.WITHDRAWAL) == (), "taking back is never refused"
    for reason in HoldReason:
        assert "17(3)" in WORDS[OF_HOLDS[reason]] and OF_HOLDS[reason] in grounds_for(RequestKind.ERASURE)


@pytest.fixture
async def two(cast: Cast, tmp_path: Path) -> tuple[RecordingId, RecordingId]:
    person = cast.participant.participant
    camera = await stored_recording(cast, tmp_path / "a", person=person, seconds=1.0)
    return camera, await stored_recording(cast, tmp_path / "b", person=person, stream=StreamKind.SCREEN, seconds=1.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"outcome": "refused"}, "Please choose one of the list"),
        ({"outcome": "refused", "ground": "we are busy"}, "Please choose one of the list"),
        ({"outcome": "refused", "ground": "correct"}, "Please choose one of the list"),
        ({"outcome": "refused", "ground": "claims", "words": ""}, "Please fill this in"),
        ({"outcome": "partly"}, "Please choose one of the list"),
        ({"outcome": "maybe"}, "Please choose one of the list"),
    ],
)
async def test_no_reason_no_refusal(
    cast: Cast, two: tuple[RecordingId, RecordingId], values: dict[str, str], said: str
) -> None:
    request = await asked(cast, RequestKind.OBJECTION)
    owner = await cast.browser("owner")
    answer = await owner.post(f"/requests/{request.id}/answer", data={"words": "Because."} | values)
    assert answer.status_code == 422 and said in answer.text
    assert [one.state for one in await requests(cast)] == [RequestState.OPEN]


async def test_everything_refused_is_no_part(cast: Cast, two: tuple[RecordingId, RecordingId]) -> None:
    request = await asked(cast, RequestKind.OBJECTION)
    owner = await cast.browser("owner")
    for choice in ("granted", "claims"):
        form = {"outcome": "partly", "words": "Some."} | {f"item-{one}": choice for one in two}
        answer = await owner.post(f"/requests/{request.id}/answer", data=form)
        assert answer.status_code == 422 and "Some of it has to be granted" in answer.text
    assert [one.state for one in await requests(cast)] == [RequestState.OPEN]


@pytest.mark.parametrize("language", [Language.EN, Language.DE])
async def test_the_answer_names_the_reason_and_where_to_complain(cast: Cast, language: Language) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(Participant, cast.participant.participant)).language = language
    request = await asked(cast, RequestKind.RECTIFICATION)
    form = {"outcome": "refused", "ground": "correct", "words": "We looked at it."}
    assert (await (await cast.browser("owner")).post(f"/requests/{request.id}/answer", data=form)).status_code == 303
    text = next(mail.text for row, mail in await mails(cast.wiring) if row.template == "request_answered" and mail)
    assert "We looked at it." in text and "Art. 77" in text and "Art. 79" in text
    english = "was looked at and is correct and complete (GDPR Art. 16)" in text
    assert english is (language is Language.EN) and ("DSGVO Art. 16" in text or "Art. 16 DSGVO" in text or english)
    [row] = await requests(cast)
    assert (row.outcome, row.ground, row.state) == ("refused", "correct", RequestState.REFUSED)


async def test_my_data_names_the_reason_and_where_to_complain(cast: Cast) -> None:
    request = await asked(cast, RequestKind.ACCESS)
    form = {"outcome": "refused", "ground": "rights of others", "words": "Another one speaks on it."}
    await (await cast.browser("owner")).post(f"/requests/{request.id}/answer", data=form)
    page = (await (await inside(cast)).get("/my-data")).text
    assert "rights of other people (GDPR Art. 15(4) and 20(4))" in page and all(one in page for one in COMPLAIN)


async def test_of_an_objection_one_thing_is_granted_and_another_refused(
    cast: Cast, two: tuple[RecordingId, RecordingId]
) -> None:
    """What is refused can be seen again once they were told; what is granted stays kept and unseen."""
    camera, screen = two
    request = await asked(cast, RequestKind.OBJECTION)
    owner = await cast.browser("owner")
    form = {
        "outcome": "partly",
        "words": "The picture stays away.",
        f"item-{camera}": "granted",
        f"item-{screen}": "claims",
    }
    assert (await owner.post(f"/requests/{request.id}/answer", data=form)).status_code == 303
    text = next(mail.text for row, mail in await mails(cast.wiring) if row.template == "request_answered" and mail)
    assert "Pilot 1, camera and microphone: granted" in text and "Pilot 1, screen: refused." in text
    assert "17(3)(e)" in text and all(one in text for one in COMPLAIN)
    seen = [(await owner.get(f"/recordings/{one}/media")).status_code for one in two]
    assert seen == [404, 404], "told, but not sent yet"
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(OutgoingMail).values(state=MailState.SENT))
        now = await now_in(db)
    await sweep(cast.wiring, now)
    assert [(await owner.get(f"/recordings/{one}/media")).status_code for one in two] == [404, 200]
    [row] = await requests(cast)
    assert row.state == RequestState.IN_FORCE
    page = (await (await inside(cast)).get("/my-data")).text
    assert "granted" in page and "17(3)(e)" in page
    lifted = {"words": "It is over.", "ground": "research"}
    assert (await owner.post(f"/requests/{row.id}/lift", data=lifted)).status_code == 303
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(OutgoingMail).values(state=MailState.SENT))
        assert {one.ground for one in await db.scalars(select(RequestItem))} == {None, "claims"}
    await sweep(cast.wiring, now)
    assert [(await owner.get(f"/recordings/{one}/media")).status_code for one in two] == [200, 200]


async def test_a_restriction_ends_with_a_reason_too(cast: Cast) -> None:
    request = await asked(cast, RequestKind.RESTRICTION)
    owner = await cast.browser("owner")
    for ground in ("", "compelling", "we are busy"):
        answer = await owner.post(f"/requests/{request.id}/lift", data={"words": "Over.", "ground": ground})
        assert answer.status_code == 422
    assert [one.state for one in await requests(cast)] == [RequestState.IN_FORCE]


async def test_what_a_hold_keeps_of_an_erasure_says_why_and_where_to_complain(
    cast: Cast, two: tuple[RecordingId, RecordingId]
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).where(Recording.id == two[0]).values(held_reason=HoldReason.CLAIM))
    erasure = await ask(cast, cast.participant.participant)
    await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())
    token = receipt_token(signing_key(cast.wiring.settings.data_dir), cast.account, erasure.id)
    page = (await (await cast.browser("stranger")).get(f"/receipt/{token}")).text
    assert "legal claims (GDPR Art. 17(3)(e)" in page and all(one in page for one in COMPLAIN)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(DataRequest.state))).all() in ([], [RequestState.OPEN])
