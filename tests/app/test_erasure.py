"""Erasing on a real database with really sealed media: nothing of it is left, everything else is untouched."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.database import now_in
from app.errors import NotThere
from app.ledger import ledger_of
from app.mail.models import OutgoingMail
from app.participants.forms import Registration
from app.participants.models import DataCode, Participant
from app.participants.service import ask_code, register
from app.privacy.erasing.certificate import certificate_file, verify_document, verify_file
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import Certificate, ErasureReason, ErasureState
from app.sessions.models import Recording, RecordingState
from app.sessions.service import find_session
from app.studies.service import find_study
from recordings.encryption.keystore import KeyPath
from recordings.model import RecordingId
from recordings.storage.layout import person_prefix
from tests.fixtures.erasing import SpyNodes, ask, newest, run, served, store_of
from tests.fixtures.web import Cast


async def test_everything_of_one_person_goes_and_the_other_stays_bit_identical(
    cast: Cast, anna: list[RecordingId], ben: RecordingId, nodes: SpyNodes, tmp_path: Path
) -> None:
    person, account, wiring = cast.participant.participant, cast.account, cast.wiring
    prefix = person_prefix(account, cast.session, person)
    held = [key for key in store_of(cast).objects if key.startswith(prefix)]
    assert len(held) > 6
    before = await served(cast, ben)
    erasure = await ask(cast, person)
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE

    assert [key for key in store_of(cast).objects if key.startswith(prefix)] == []
    assert not wiring.keys.exists(KeyPath(account, person))
    assert [(await served(cast, one))[0] for one in anna] == [404, 404]
    assert before[0] == 200 and await served(cast, ben) == before
    assert nodes.asked == [prefix]
    async with wiring.database.transaction(account) as db:
        row = await db.get_one(Participant, person)
        assert (row.name, row.email, row.email_index) == (None, None, None) and row.erased_at
        states = await db.scalars(select(Recording.state).where(Recording.person_id == person))
        assert set(states) == {RecordingState.ERASED}
        assert await db.scalar(select(func.count()).where(OutgoingMail.person_id == person)) == 0
        other = cast.other_participant.participant
        assert await db.scalar(select(func.count()).where(OutgoingMail.person_id == other)) == 1

    paper = await newest(cast, erasure)
    assert paper.state == "complete" and verify_document(paper.document, paper.signature, paper.public_key)
    assert [thing["key"] for thing in paper.document["objects"]] == sorted(held)
    assert paper.document["erased"]["keys"] == len(paper.document["keys"]) == 8  # person, 4 tracks, 2 indexes, words
    assert paper.document["erased"]["spooled_pieces"] == 2
    assert paper.document["erased"]["rows"]["recordings"] == 2
    file = tmp_path / "certificate.json"
    file.write_bytes(certificate_file(paper.document, paper.signature, paper.public_key))
    assert verify_file(file).valid
    assert "Anna" not in str(paper.document) and "anna@home.example" not in file.read_text()


async def test_asking_makes_it_unreadable_at_once_and_signs_the_person_out(cast: Cast, anna: list[RecordingId]) -> None:
    browser = await cast.browser("participant")
    assert (await browser.get(f"/take-part/{cast.session}")).status_code == 200
    await ask(cast, cast.participant.participant)
    assert [(await served(cast, one))[0] for one in anna] == [404, 404]
    assert (await browser.get(f"/take-part/{cast.session}")).status_code == 401
    link = cast.participant.link.removeprefix("http://localhost:8000")
    assert (await browser.get(link)).status_code == 404


async def test_asking_twice_is_one_erasure(cast: Cast, anna: list[RecordingId], nodes: SpyNodes) -> None:
    person = cast.participant.participant
    first, second = await ask(cast, person), await ask(cast, person)
    assert first.id == second.id and first.receipt == second.receipt
    await run(cast, first, nodes)
    again = await run(cast, first, nodes)
    assert again.state is ErasureState.COMPLETE
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(func.count()).where(Certificate.erasure_id == first.id)) == 1


async def test_nobody_elses_person_can_be_named(cast: Cast) -> None:
    with pytest.raises(NotThere):
        async with cast.wiring.database.transaction(cast.other_account) as db:
            await ask_erasure(
                db,
                account=cast.other_account,
                person=cast.participant.participant,
                reason=ErasureReason.OWNER,
                asked_by=f"member:{cast.other_owner}",
                instruction="test",
            )


async def test_a_hold_stops_what_it_holds_visibly_and_its_end_resumes_the_erasure(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    person = cast.participant.participant
    async with cast.wiring.database.transaction(cast.account) as db:
        held = {"held_reason": "court order", "held_until": await now_in(db) + timedelta(days=30)}
        await db.execute(update(Recording).where(Recording.id == anna[0]).values(**held))
    erasure = await ask(cast, person)
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.HELD and str(anna[0]) in outcome.reasons[0]
    assert (await newest(cast, erasure)).state == "partial"
    assert cast.wiring.keys.exists(KeyPath(cast.account, person)), "what is held is not destroyed …"
    assert [(await served(cast, one))[0] for one in anna] == [404, 404], "… and shown to nobody: its person has left"
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).where(Recording.id == anna[0]).values(held_reason=None, held_until=None))
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert not cast.wiring.keys.exists(KeyPath(cast.account, person))
    assert (await served(cast, anna[0]))[0] == 404


async def test_codes_and_names_do_not_outlive_the_person(cast: Cast, nodes: SpyNodes) -> None:
    person, wiring = cast.participant.participant, cast.wiring
    async with wiring.database.transaction(cast.account) as db:
        typed = Registration(name="Anna", email="anna@home.example")
        await register(db, wiring.columns, account=cast.account, participant=person, typed=typed)
        study = await find_study(db, (await find_session(db, cast.session)).study_id)
        await ask_code(db, wiring, account=cast.account, participant=person, study=study)
    erasure = await ask(cast, person)
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    async with wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(func.count()).where(DataCode.participant_id == person)) == 0
    rows = (await newest(cast, erasure)).document["erased"]["rows"]
    assert rows["contact"] == 1 and rows["mails"] == 2 and rows["codes"] == 1


async def test_the_ledger_outside_the_database_holds_ids_and_times_only(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    person = cast.participant.participant
    erasure = await ask(cast, person)
    await run(cast, erasure, nodes)
    ledger = ledger_of(cast.wiring.settings)
    asked, begun, complete = ledger.entries()
    assert (asked.event, begun.event, complete.event) == ("asked", "begun", "complete")
    assert begun.person == person and begun.recordings is None and begun.erasure == erasure.id
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    bound = {"after", "sum"}
    names = {"at", "event", "erasure", "account", "person", "recordings", "kinds", "notes"} | bound
    names |= {"reason", "asked_by", "asked_at", "instruction", "receipt"}
    assert [set(line) for line in lines] == [{"ledger", "at"} | bound, names, names, names]
