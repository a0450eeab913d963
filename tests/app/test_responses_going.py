"""How answers go: by their date, with the person, with the session, alone; and what keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.privacy.erasing.service import run_erasure
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Certificate, Erasure
from app.sessions.models import Recording
from app.sessions.responses import response_key_path
from recordings.encryption.keystore import KeyDestroyed
from tests.fixtures.answering import (
    SAID,
    age,
    answered,
    answers,
    ask_three,
    filled,
    path_of,
    proven,
    questions,
    responses,
    took_part,
)
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

DAY = timedelta(days=1)


async def run_all(cast: Cast) -> list[Certificate]:
    """Every erasure that was asked for, done; the newest certificate of each."""
    async with cast.wiring.database.transaction(cast.account) as db:
        asked = list(await db.scalars(select(Erasure.id).order_by(Erasure.asked_at)))
    for erasure in asked:
        await run_erasure(cast.wiring, cast.account, erasure, nodes=SpyNodes())
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Certificate).order_by(Certificate.issued_at)))


async def hold(cast: Cast, until: datetime | None = None) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_reason="complaint", held_until=until))


async def closed(cast: Cast) -> bool:
    """Whether the key of every response is destroyed and no answer is left in the database."""
    for row in await responses(cast):
        with pytest.raises(KeyDestroyed):
            cast.wiring.keys.unwrap(response_key_path(row))
    return await answers(cast) == []


async def test_by_the_date_answers_are_unread_at_once_and_the_sweep_erases_them(cast: Cast) -> None:
    await answered(cast)
    await age(cast, 180 * DAY - timedelta(minutes=5))
    owner = await cast.browser("owner")
    now = datetime.now(UTC)
    await sweep(cast.wiring, now)
    assert await run_all(cast) == []
    assert SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text
    await age(cast, timedelta(minutes=10))
    for path in ("answers", "answers.csv?purpose=analysis"):
        assert SAID not in (await owner.get(f"/sessions/{cast.session}/{path}")).text
    participant = await cast.browser("participant")
    assert (await participant.post(path_of(cast), data=filled(await questions(cast)))).status_code == 409
    assert await sweep(cast.wiring, now) == 1
    assert await sweep(cast.wiring, now) == 0, "asked already"
    [paper] = await run_all(cast)
    assert paper.state == "complete"
    assert paper.document["reason"] == "retention"
    assert paper.document["erased"]["rows"]["answers"] == 3
    assert paper.document["erased"]["keys"] == 1
    assert await closed(cast)


async def test_recordings_and_answers_of_one_date_go_in_one_erasure(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(created_at=Recording.created_at - 181 * DAY))
    await age(cast, 181 * DAY)
    await sweep(cast.wiring, datetime.now(UTC))
    [paper] = await run_all(cast)
    assert paper.document["erased"]["rows"]["recordings"] == 1
    assert paper.document["erased"]["rows"]["answers"] == 3
    [response] = await responses(cast)
    assert paper.document["scope"]["responses"] == [str(response.id)]
    assert await closed(cast)


async def test_a_study_that_keeps_until_asked_keeps_answers(cast: Cast) -> None:
    owner = await cast.browser("owner")
    await owner.post(
        f"/studies/{cast.study}/edit",
        data={
            "title": "Checkout",
            "contact_name": "Olga",
            "contact_email": "olga@lab.example",
            "consent_text": "Text",
            "kinds": ["video"],
            "language": "en",
            "retention": "asked",
        },
    )
    await answered(cast)
    await age(cast, 4000 * DAY)
    assert await sweep(cast.wiring, datetime.now(UTC)) == 0
    assert SAID in (await owner.get(f"/sessions/{cast.session}/answers")).text


async def test_a_hold_on_a_recording_keeps_that_persons_answers_and_nobody_elses(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    await answered(cast, "other_participant", text="Nothing at all")
    await hold(cast)
    await age(cast, 181 * DAY)
    await sweep(cast.wiring, datetime.now(UTC))
    [paper] = await run_all(cast)
    assert paper.document["scope"]["person"] == str(cast.other_participant.participant)
    assert len(await answers(cast, cast.participant.participant)) == 3
    assert await answers(cast, cast.other_participant.participant) == []


async def test_a_participant_erases_just_the_answers(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    asked = await answered(cast)
    browser = await proven(cast)
    path = f"/my-data/{cast.session}/answers/erase"
    page = await browser.get("/my-data")
    assert SAID in page.text and path in page.text
    assert "Recordings stay as they are" in (await browser.get(path)).text
    receipt = await browser.post(path)
    assert receipt.status_code == 303 and receipt.headers["location"].startswith("/receipt/")
    assert SAID not in (await (await cast.browser("owner")).get(f"/sessions/{cast.session}/answers")).text
    assert "Being erased" in (await browser.get("/my-data")).text
    again = await browser.post(path)
    assert again.headers["location"] == receipt.headers["location"], "asking twice is asking once"
    [paper] = await run_all(cast)
    assert paper.state == "complete" and paper.document["erased"]["objects"] == 0
    assert await closed(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(Recording.erased_at)) is None
    told = (await browser.get("/my-data")).text
    assert "Erased on" in told and SAID not in told
    shown = (await (await cast.browser("stranger")).get(receipt.headers["location"])).text
    assert "What you answered after the session is gone" in shown
    assert (await browser.get(path)).status_code == 404
    assert (await browser.post(path_of(cast), data=filled(asked))).status_code == 409, "not asked again"
    assert await answers(cast) == []


async def test_only_the_proven_participant_erases_answers(cast: Cast) -> None:
    await answered(cast)
    await took_part(cast, "other_participant")
    path = f"/my-data/{cast.session}/answers/erase"
    for who in EVERYONE:
        browser = await cast.browser(who)
        assert (await browser.get(path)).status_code == 401, who
        assert (await browser.post(path)).status_code == 401, who
    other = await proven(cast, "other_participant")
    assert (await other.post(path)).status_code == 404
    assert len(await answers(cast)) == 3


async def test_erasing_the_person_erases_their_answers_and_nobody_elses(cast: Cast) -> None:
    await answered(cast)
    await answered(cast, "other_participant", text="Nothing at all")
    browser = await proven(cast)
    assert (await browser.post("/my-data/erase")).status_code == 303
    owner = await cast.browser("owner")
    assert SAID not in (await owner.get(f"/sessions/{cast.session}/answers")).text
    [paper] = await run_all(cast)
    assert paper.document["erased"]["rows"]["answers"] == 3
    assert paper.document["erased"]["keys"] == 2, "the person's and the response's"
    assert await answers(cast, cast.participant.participant) == []
    assert "Nothing at all" in (await owner.get(f"/sessions/{cast.other_session}/answers")).text
    assert (await browser.post(path_of(cast), data={})).status_code == 401


async def test_erasing_the_session_erases_what_was_answered_after_it(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    asked = await answered(cast)
    owner = await cast.browser("owner")
    page = await owner.get(f"/sessions/{cast.session}/erase")
    assert "What 1 participant answered after it is destroyed too" in page.text
    assert len(await answers(cast)) == 3, "asking is not erasing"
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 303
    [paper] = await run_all(cast)
    assert paper.document["erased"]["rows"]["answers"] == 3
    assert await closed(cast)
    assert (await (await cast.browser("participant")).post(path_of(cast), data=filled(asked))).status_code == 409


async def test_a_session_with_nothing_but_answers_can_be_erased(cast: Cast) -> None:
    await answered(cast)
    owner = await cast.browser("owner")
    assert "Erase the answers" in (await owner.get(f"/sessions/{cast.session}/erase")).text
    assert (await owner.post(f"/sessions/{cast.session}/erase")).headers["location"] == "/erasures"
    await run_all(cast)
    assert await closed(cast)


async def test_after_a_session_was_erased_nothing_new_is_answered(cast: Cast, tmp_path: Path) -> None:
    """Although this participant had answered nothing yet."""
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    asked = await ask_three(cast)
    await took_part(cast)
    await (await cast.browser("owner")).post(f"/sessions/{cast.session}/erase")
    answer = await (await cast.browser("participant")).post(path_of(cast), data=filled(asked))
    assert answer.status_code == 409 and "has been erased" in answer.text
    assert await responses(cast) == []


async def test_what_a_hold_keeps_waits_and_goes_when_it_ends(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    await hold(cast)
    browser = await proven(cast)
    await browser.post(f"/my-data/{cast.session}/answers/erase")
    [paper] = await run_all(cast)
    assert paper.state == "partial" and "A hold keeps response" in paper.document["not_verified"][0]
    assert len(await answers(cast)) == 3
    seen = (await (await cast.browser("researcher")).get(f"/sessions/{cast.session}/answers")).text
    assert "being erased" in seen and SAID not in seen, "kept by the hold, and shown to nobody"
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).values(held_reason=None))
    assert (await run_all(cast))[-1].state == "complete"
    assert await closed(cast)


async def test_taking_back_a_kind_takes_no_answers_along(cast: Cast, tmp_path: Path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    await answered(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        erasure = Erasure(
            account_id=cast.account,
            reason="withdrawal",
            person_id=cast.participant.participant,
            recording_ids=list(await db.scalars(select(Recording.id))),
            track_kinds=["voice"],
            asked_by="test",
            instruction="test",
            receipt="E-1",
        )
        db.add(erasure)
    await run_all(cast)
    assert len(await answers(cast)) == 3


async def test_restricted_answers_are_kept_and_neither_read_nor_erased_by_date_or_owner(cast: Cast) -> None:
    """GDPR Art. 18(2); nothing needs to have been recorded for it. The participant can still erase them."""
    await answered(cast)
    browser = await proven(cast)
    await browser.post("/my-data/restrict")
    owner = await cast.browser("owner")
    for path in ("answers", "answers.csv?purpose=analysis"):
        assert SAID not in (await owner.get(f"/sessions/{cast.session}/{path}")).text
    assert SAID in (await browser.get("/my-data")).text
    assert (await owner.post(f"/sessions/{cast.session}/erase")).status_code == 409
    await age(cast, 400 * DAY)
    assert await sweep(cast.wiring, datetime.now(UTC)) == 0
    assert len(await answers(cast)) == 3
    assert (await browser.post(f"/my-data/{cast.session}/answers/erase")).status_code == 303
    await run_all(cast)
    assert await closed(cast)
