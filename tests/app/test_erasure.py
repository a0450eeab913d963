"""Erasing on a real database with really sealed media: nothing of it is left, everything else is untouched,
a crash at any step is made good, and a certificate never claims what was not seen."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update

from app.database import now_in
from app.errors import NotThere
from app.mail.models import OutgoingMail
from app.participants.forms import Registration
from app.participants.models import Consent, DataCode, Participant
from app.participants.service import ask_code, current_consents, give_consent, register, study_notice
from app.privacy import service
from app.privacy.certificate import certificate_file, verify_document, verify_file
from app.privacy.destroying import destroy
from app.privacy.models import Certificate, Erasure, ErasureReason, ErasureState
from app.privacy.scope import Plan, Target
from app.privacy.service import Outcome, ask_erasure, ledger_of, run_erasure
from app.privacy.withdrawal import withdraw
from app.room.node_client import NodeUnreachable
from app.room.node_messages import EraseDone
from app.sessions.models import Recording, RecordingState, Session, SessionState, Track, Transcript
from app.studies.models import ConsentKind, Study
from app.studies.service import Contact
from recordings.encryption.keystore import KeyPath, KeyStoreUnavailable
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import AccountId, PersonId, RecordingId, StreamKind
from recordings.storage.layout import person_prefix
from recordings.storage.memory import MemoryStore
from recordings.storage.store import StoreRefused, StoreUnavailable
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast
from workers.finalise import finalise


@dataclass
class SpyNodes:
    """The port to the media processes; `reachable` False: none answers."""

    reachable: bool = True
    asked: list[str] = field(default_factory=list)

    async def erase(self, url: str, prefix: str) -> EraseDone:
        if not self.reachable:
            raise NodeUnreachable
        pieces = 0 if prefix in self.asked else 2
        self.asked.append(prefix)
        return EraseDone(streams=0, pieces=pieces)


@pytest.fixture
def nodes() -> SpyNodes:
    return SpyNodes()


@pytest.fixture
async def anna(cast: Cast, tmp_path: Path) -> list[RecordingId]:
    """Camera with transcript, and screen, of the first participant."""
    person = cast.participant.participant
    return [
        await stored_recording(cast, tmp_path / "a", person=person, transcript=True),
        await stored_recording(cast, tmp_path / "b", person=person, stream=StreamKind.SCREEN),
    ]


@pytest.fixture
async def ben(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(
        cast,
        tmp_path / "c",
        person=cast.other_participant.participant,
        session=cast.other_session,
        transcript=True,
    )


def store_of(cast: Cast) -> MemoryStore:
    assert isinstance(cast.wiring.store, MemoryStore)
    return cast.wiring.store


async def served(cast: Cast, recording: UUID) -> tuple[int, str]:
    answer = await (await cast.browser("researcher")).get(f"/recordings/{recording}/media")
    return answer.status_code, sha256(answer.content).hexdigest()


async def ask(cast: Cast, person: PersonId, **more: Any) -> Erasure:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await ask_erasure(
            db,
            account=cast.account,
            person=person,
            reason=ErasureReason.REQUEST,
            asked_by=f"participant:{person}",
            instruction="test",
            **more,
        )


async def run(cast: Cast, erasure: Erasure, nodes: SpyNodes) -> Outcome:
    return await run_erasure(cast.wiring, cast.account, erasure.id, nodes=nodes)


async def newest(cast: Cast, erasure: Erasure) -> Certificate:
    async with cast.wiring.database.transaction(cast.account) as db:
        found = select(Certificate).where(Certificate.erasure_id == erasure.id).order_by(Certificate.issued_at.desc())
        return (await db.scalars(found)).first()  # type: ignore[return-value]


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
    assert b"Anna" not in file.read_bytes() and b"anna@home.example" not in file.read_bytes()


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


class Crash(BaseException):
    """kill -9: nothing after it runs, and nothing catches it."""


STEPS: list[str] = ["_stop_capture", "_note", "destroy", "certify"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_made_good_and_leaves_no_finished_certificate_behind(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    person = cast.participant.participant
    everything = len([key for key in store_of(cast).objects if str(person) in key])
    erasure = await ask(cast, person)
    monkeypatch.setattr(service, step, dying(getattr(service, step), when))
    with pytest.raises(Crash):
        await run(cast, erasure, nodes)
    monkeypatch.undo()
    left = [key for key in store_of(cast).objects if str(person) in key]
    paper = await newest(cast, erasure)
    assert paper is None or not left, "a certificate stands while something is left"
    assert [(await served(cast, one))[0] for one in anna] == [404, 404]

    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    paper = await newest(cast, erasure)
    assert len(paper.document["objects"]) == everything, "what was there before the crash is still counted"
    assert len(paper.document["keys"]) == 8
    events = [entry.event for entry in ledger_of(cast.wiring.settings).entries()]
    assert events[0] == "begun"
    assert events[-1] == "complete" or (step, when) == ("certify", "after")


def dying(original: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The step, cut short just before or just after it."""

    async def waits(*args: Any) -> Any:
        if when == "after":
            await original(*args)
        raise Crash

    def blocks(*args: Any) -> Any:
        if when == "after":
            original(*args)
        raise Crash

    return blocks if original.__name__ == "destroy" else waits


@pytest.mark.parametrize("verb", ["delete", "remains"])
async def test_a_store_that_refuses_makes_it_partial_and_a_later_run_completes_it(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, verb: str
) -> None:
    person, store = cast.participant.participant, store_of(cast)
    erasure = await ask(cast, person)
    error = StoreRefused("Access denied") if verb == "delete" else StoreUnavailable("It does not answer")

    def fault(asked: str, key: str) -> None:
        if asked == verb and str(person) in key:
            raise error

    store.fault = fault
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and outcome.again
    paper = await newest(cast, erasure)
    assert paper.state == "partial" and paper.document["verified"] == []
    assert any(str(error) in reason for reason in paper.document["not_verified"])
    assert paper.document["objects"] == [], "what is still there is not called erased"
    assert len(paper.document["keys"]) == 8
    assert not cast.wiring.keys.exists(KeyPath(cast.account, person)), "the key goes even when the store is down"
    await run(cast, erasure, nodes)
    async with cast.wiring.database.transaction(cast.account) as db:
        papers = select(func.count()).where(Certificate.erasure_id == erasure.id)
        assert await db.scalar(papers) == 1, "the same findings are not certified twice"

    store.fault = lambda asked, key: None
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert (await newest(cast, erasure)).state == "complete"
    assert [key for key in store.objects if str(person) in key] == []


async def test_while_a_key_cannot_be_destroyed_nothing_is_called_erased(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    erasure = await ask(cast, cast.participant.participant)

    def refuse(path: KeyPath) -> int:
        raise KeyStoreUnavailable("The key folder does not answer")

    monkeypatch.setattr(cast.wiring.keys, "destroy", refuse)
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and "A key can still be unwrapped" in outcome.reasons
    assert (await newest(cast, erasure)).document["erased"]["keys"] == 0
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, anna[0])
        assert row.state == RecordingState.STORED and row.restricted_at and not row.erased_at
    assert (await served(cast, anna[0]))[0] == 404, "unreadable all the same"
    monkeypatch.undo()
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE


async def test_a_media_process_that_does_not_answer_makes_it_partial(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    erasure = await ask(cast, cast.participant.participant)
    nodes.reachable = False
    outcome = await run(cast, erasure, nodes)
    assert outcome.state is ErasureState.PARTIAL and "media-1" in outcome.reasons[0]
    nodes.reachable = True
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE


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
    assert (await served(cast, anna[0]))[0] == 200, "what is held is not destroyed"
    assert (await served(cast, anna[1]))[0] == 404
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).where(Recording.id == anna[0]).values(held_reason=None, held_until=None))
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert not cast.wiring.keys.exists(KeyPath(cast.account, person))
    assert (await served(cast, anna[0]))[0] == 404


async def consent(cast: Cast, *kinds: ConsentKind) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        shown = await notice_of(cast, db)
        for kind in kinds:
            await give_consent(
                db,
                account=cast.account,
                participant=cast.participant.participant,
                session=cast.session,
                kind=kind,
                shown=shown,
            )


async def notice_of(cast: Cast, db: Any) -> Any:
    study = await db.get_one(Study, cast.study)
    return (await study_notice(db, cast.wiring.columns, cast.wiring.settings, account=cast.account, study=study))[1]


async def take_back(cast: Cast, kind: ConsentKind) -> Erasure | None:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await withdraw(
            db,
            account=cast.account,
            participant=cast.participant.participant,
            session=cast.session,
            kind=kind,
            shown=await notice_of(cast, db),
        )


async def test_withdrawing_audio_erases_voice_and_words_and_the_picture_plays_on(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    await consent(cast, *ConsentKind)
    erasure = await take_back(cast, ConsentKind.AUDIO)
    assert erasure is not None
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    async with cast.wiring.database.transaction(cast.account) as db:
        tracks = {t.kind: t for t in await db.scalars(select(Track).where(Track.recording_id == anna[0]))}
        words = (await db.scalars(select(Transcript).where(Transcript.recording_id == anna[0]))).one()
        recording = await db.get_one(Recording, anna[0])
    assert tracks["voice"].erased_at and not tracks["camera"].erased_at
    assert words.erased_at and words.object_key is None
    left = [key for key in store_of(cast).objects if str(tracks["voice"].id) in key or str(words.id) in key]
    assert left == []
    assert not cast.wiring.keys.exists(
        KeyPath(cast.account, cast.participant.participant, f"track-{tracks['voice'].id}")
    )
    assert recording.state == RecordingState.CAPTURED and recording.index_key is None
    assert await waiting(cast, "finalise") >= 1
    await finalise(cast.wiring, cast.account, anna[0])
    status, _ = await served(cast, anna[0])
    assert status == 200, "the rest plays on"
    assert (await served(cast, anna[1]))[0] == 200
    assert nodes.asked == [key for key in nodes.asked if str(tracks["voice"].id) in key] != []


async def test_withdrawing_the_transcript_takes_the_words_and_leaves_the_voice(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    await consent(cast, *ConsentKind)
    before = await served(cast, anna[0])
    erasure = await take_back(cast, ConsentKind.TRANSCRIPT)
    assert erasure is not None
    researcher = await cast.browser("researcher")
    assert (await researcher.get(f"/recordings/{anna[0]}/transcript/vtt")).status_code == 404
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    assert before[0] == 200 and await served(cast, anna[0]) == before


async def test_a_track_opened_after_consenting_again_is_not_what_was_withdrawn(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    await consent(cast, ConsentKind.VIDEO)
    erasure = await take_back(cast, ConsentKind.VIDEO)
    assert erasure is not None
    await consent(cast, ConsentKind.VIDEO)
    async with cast.wiring.database.transaction(cast.account) as db:
        fresh = Track(account_id=cast.account, recording_id=anna[0], kind="camera")
        db.add(fresh)
        await db.flush()
        cast.wiring.keys.create(KeyPath(cast.account, cast.participant.participant, f"track-{fresh.id}"))
    await run(cast, erasure, nodes)
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Track, fresh.id)
        assert row.closed_at is None and row.erased_at is None
        allowed = await current_consents(db, session=cast.session, participant=cast.participant.participant)
        assert allowed == {ConsentKind.VIDEO}
    assert cast.wiring.keys.exists(KeyPath(cast.account, cast.participant.participant, f"track-{fresh.id}"))


async def test_when_the_last_kind_of_an_ended_session_goes_nothing_of_the_recording_is_left(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes
) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(state=SessionState.ENDED))
    await consent(cast, ConsentKind.SCREEN)
    erasure = await take_back(cast, ConsentKind.SCREEN)
    assert erasure is not None
    await run(cast, erasure, nodes)
    assert [key for key in store_of(cast).objects if str(anna[1]) in key] == []
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.get_one(Recording, anna[1])).state == RecordingState.ERASED


async def test_withdrawing_what_was_never_given_or_recorded_erases_nothing(cast: Cast) -> None:
    assert await take_back(cast, ConsentKind.VIDEO) is None
    await consent(cast, ConsentKind.VIDEO)
    assert await take_back(cast, ConsentKind.VIDEO) is None
    async with cast.wiring.database.transaction(cast.account) as db:
        assert list(await db.scalars(select(Consent.given).order_by(Consent.number))) == [True, False]


async def test_codes_and_names_do_not_outlive_the_person(cast: Cast, nodes: SpyNodes) -> None:
    person, wiring = cast.participant.participant, cast.wiring
    async with wiring.database.transaction(cast.account) as db:
        typed = Registration(name="Anna", email="anna@home.example")
        await register(db, wiring.columns, account=cast.account, participant=person, typed=typed)
        contact = Contact(name="Olga", email="study@lab.example")
        await ask_code(db, wiring, account=cast.account, participant=person, contact=contact)
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
    begun, complete = ledger.entries()
    assert (begun.event, complete.event) == ("begun", "complete")
    assert begun.person == person and begun.recordings is None and begun.erasure == erasure.id
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    names = {"at", "event", "erasure", "account", "person", "recordings", "kinds"}
    assert all(set(line) == names for line in lines)


async def waiting(cast: Cast, task: str) -> int:
    async with cast.wiring.database.transaction(cast.account) as db:
        query = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = :task AND status = 'todo'"
        return int((await db.execute(text(query), {"task": task})).scalar_one())


@pytest.mark.parametrize("kinds", [None, ["voice"]])
async def test_an_index_that_arrives_after_the_last_look_does_not_stay(
    cast: Cast, anna: list[RecordingId], nodes: SpyNodes, kinds: list[str] | None
) -> None:
    """Finalising has read the keys and the journals, and stores its index when everything was looked at again."""
    store, on_its_way, go_on = store_of(cast), threading.Event(), threading.Event()

    def fault(verb: str, key: str) -> None:
        if verb == "put" and key.endswith("index-00002"):
            on_its_way.set()
            assert go_on.wait(20)

    store.fault = fault
    late = asyncio.create_task(finalise(cast.wiring, cast.account, anna[0]))
    assert await asyncio.to_thread(on_its_way.wait, 20)
    erasure = await ask(cast, cast.participant.participant, recordings=[anna[0]], kinds=kinds)
    assert (await run(cast, erasure, nodes)).state is ErasureState.COMPLETE
    if kinds:
        await finalise(cast.wiring, cast.account, anna[0])  # what plays on has its new index already
    go_on.set()
    await late
    assert [key for key in store.objects if str(anna[0]) in key and key.endswith("index-00002")] == []
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, anna[0])
        assert row.state == (RecordingState.STORED if kinds else RecordingState.ERASED)


def test_what_arrives_before_the_very_last_look_makes_it_partial() -> None:
    account, person = AccountId(uuid4()), PersonId(uuid4())
    keys, looks = MemoryKeyStore(), 0
    for path in (KeyPath(account), KeyPath(account, person)):
        keys.create(path)
    prefix = f"{account}/{uuid4()}/{person}/"

    def fault(verb: str, key: str) -> None:
        nonlocal looks
        looks += verb == "remains"
        if looks == 3:  # deleted, looked again, and now the last look
            store.objects[prefix + "late"] = b"late"

    store = MemoryStore(fault)
    target = Target(key=KeyPath(account, person), prefixes=(prefix,))
    nothing: dict[str, Any] = dict.fromkeys(
        ("stop", "nodes", "indexes", "recordings", "tracks", "transcripts", "reindex", "held"), ()
    )
    plan = Plan(account=account, person=person, whole_person=True, targets=(target,), keys=(target.key,), **nothing)
    assert destroy(store, keys, plan).reasons == (f"The object {prefix}late is still in the store",)
    assert destroy(store, keys, plan).reasons == ()
