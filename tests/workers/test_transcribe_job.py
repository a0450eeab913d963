"""Transcribing beside a person's rights: what is withdrawn or erased while the model listens is never kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from app.library.transcripts import TranscriptCue, TranscriptText, read_transcript, write_transcript
from app.mail.models import MailState, OutgoingMail
from app.privacy.erasing.service import ask_erasure, run_erasure
from app.privacy.records.models import DataRequest, ErasureReason, ErasureState, RequestKind, RequestState
from app.privacy.rights.lifting import lift_when_told
from app.privacy.rights.requests import ask as ask_request
from app.room.node_messages import EraseDone
from app.sessions.models import Recording, RecordingState, Session, SessionState, Track, Transcript, TranscriptState
from app.sessions.service import recording_ref
from app.sessions.words import transcript_words
from app.studies.models import ConsentKind, Study
from recordings.model import RecordingId
from recordings.storage.layout import transcript_key, transcript_key_path
from tests.fixtures.stored import consent, stored_recording
from tests.fixtures.web import Cast
from workers.finalise import finalise
from workers.speech import SAMPLE_RATE, Cue, Heard, HeardUntil, Samples, SpeechModelMissing, Word, nothing
from workers.transcribe import BeingIndexed, transcribe

HEARD = "saffron"


@dataclass
class Ear:
    """A speech model at its port: one word per stretch. meanwhile: what happens elsewhere while it listens."""

    name: str = "ear"
    country: str = ""
    meanwhile: Callable[[], Awaitable[object]] | None = None
    fails: Exception | None = None
    stretches: list[tuple[int, int]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def hear(self, samples: Samples, *, start_ms: int, language: str, heard_until: HeardUntil = nothing) -> Heard:
        self.stretches.append((start_ms, len(samples) * 1000 // SAMPLE_RATE))
        if self.meanwhile:
            asyncio.run_coroutine_threadsafe(self.meanwhile(), self.loop).result(60)  # type: ignore[arg-type]
        if self.fails:
            raise self.fails
        word = Word(start_ms=start_ms + 100, end_ms=start_ms + 400, text=HEARD)
        return Heard(
            cues=(Cue(start_ms=word.start_ms, end_ms=word.end_ms, text=HEARD, words=(word,)),),
            speech=((word.start_ms, word.end_ms),),
        )


class NoNodes:
    """The session is over: no media process holds anything of it."""

    async def erase(self, url: str, prefix: str) -> EraseDone:
        return EraseDone(streams=0, pieces=0)


@dataclass
class Waiting:
    """A voice that is stored, in a session that is over, with its transcript queued."""

    cast: Cast
    recording: RecordingId
    transcript: UUID

    async def run(self, ear: Ear) -> None:
        await transcribe(self.cast.wiring, lambda: ear, self.cast.account, self.transcript)

    async def row(self) -> Transcript:
        async with self.cast.wiring.database.transaction(self.cast.account) as db:
            return await db.get_one(Transcript, self.transcript)

    async def state(self) -> str:
        return (await self.row()).state

    async def nothing_is_kept(self) -> bool:
        """Neither an object nor a key of the transcript."""
        wiring = self.cast.wiring
        async with wiring.database.transaction(self.cast.account) as db:
            ref = recording_ref(await db.get_one(Recording, self.recording))
        gone = not list(wiring.store.remains(transcript_key(ref, self.transcript)))
        return gone and not wiring.keys.exists(transcript_key_path(ref, self.transcript))

    async def recording_is(self, state: RecordingState, *, index_key: str | None) -> None:
        async with self.cast.wiring.database.transaction(self.cast.account) as db:
            row = await db.get_one(Recording, self.recording)
            row.state, row.index_key = state, index_key

    async def consent(self, *kinds: ConsentKind, given: bool = True) -> None:
        await consent(self.cast, *kinds, given=given)

    async def erase_person(self) -> None:
        cast = self.cast
        async with cast.wiring.database.transaction(cast.account) as db:
            erasure = await ask_erasure(
                db,
                account=cast.account,
                person=cast.participant.participant,
                reason=ErasureReason.REQUEST,
                asked_by="participant",
                instruction="my data",
            )
        outcome = await run_erasure(cast.wiring, cast.account, erasure.id, nodes=NoNodes())
        assert outcome.state is ErasureState.COMPLETE


@pytest.fixture
async def waiting(cast: Cast, tmp_path: Path) -> Waiting:
    await consent(cast, *ConsentKind)
    recording = await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=2.0)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(state=SessionState.ENDED))
    await finalise(cast.wiring, cast.account, recording)
    async with cast.wiring.database.transaction(cast.account) as db:
        transcript = (await db.scalars(select(Transcript.id).where(Transcript.recording_id == recording))).one()
    return Waiting(cast=cast, recording=recording, transcript=transcript)


async def test_what_was_heard_is_published_sealed_with_its_times_and_coverage(waiting: Waiting) -> None:
    ear, wiring = Ear(), waiting.cast.wiring
    await waiting.run(ear)
    row = await waiting.row()
    assert (row.state, row.model, row.words, row.coverage, row.progress) == (TranscriptState.READY, "ear", 1, 1.0, 1.0)
    async with wiring.database.transaction(waiting.cast.account) as db:
        ref = recording_ref(await db.get_one(Recording, waiting.recording))
    text = read_transcript(wiring.store, wiring.keys, ref, waiting.transcript, row.object_key or "")
    assert [cue.text for cue in text.cues] == [HEARD]
    assert HEARD.encode() not in wiring.store.get(row.object_key or "")
    assert sum(length for _, length in ear.stretches) == pytest.approx(2000, abs=60)


async def test_running_again_after_it_is_ready_changes_nothing(waiting: Waiting) -> None:
    await waiting.run(Ear())
    before, ear = await waiting.row(), Ear(name="another")
    await waiting.run(ear)
    after = await waiting.row()
    assert (after.ready_at, after.model, ear.stretches) == (before.ready_at, "ear", [])


@pytest.mark.parametrize("kind", [ConsentKind.TRANSCRIPT, ConsentKind.AUDIO])
async def test_consent_taken_back_before_it_starts_lets_the_model_hear_nothing(
    waiting: Waiting, kind: ConsentKind
) -> None:
    await waiting.consent(kind, given=False)
    ear = Ear()
    await waiting.run(ear)
    assert (ear.stretches, await waiting.state()) == ([], TranscriptState.ERASED)
    assert await waiting.nothing_is_kept()


@pytest.mark.parametrize("kind", [ConsentKind.TRANSCRIPT, ConsentKind.AUDIO])
async def test_consent_taken_back_while_the_model_listens_publishes_nothing(
    waiting: Waiting, kind: ConsentKind
) -> None:
    ear = Ear(meanwhile=lambda: waiting.consent(kind, given=False))
    await waiting.run(ear)
    assert ear.stretches
    assert await waiting.state() == TranscriptState.ERASED
    assert (await waiting.row()).object_key is None
    assert await waiting.nothing_is_kept()


async def test_a_person_erased_while_the_model_listens_leaves_nothing(waiting: Waiting) -> None:
    ear = Ear(meanwhile=waiting.erase_person)
    await waiting.run(ear)
    assert ear.stretches
    assert await waiting.state() == TranscriptState.ERASED
    assert await waiting.nothing_is_kept()
    await waiting.run(Ear(meanwhile=waiting.erase_person))  # the job comes a second time
    assert await waiting.nothing_is_kept()


async def test_a_person_erased_before_it_starts_is_not_heard(waiting: Waiting) -> None:
    await waiting.erase_person()
    ear = Ear()
    await waiting.run(ear)
    assert (ear.stretches, await waiting.state()) == ([], TranscriptState.ERASED)


async def test_a_transcript_taken_out_of_the_study_while_the_model_listens_is_not_kept(waiting: Waiting) -> None:
    cast = waiting.cast

    async def take_out() -> None:
        async with cast.wiring.database.transaction(cast.account) as db:
            study = await db.get_one(Study, cast.study)
            study.kinds = [kind for kind in study.kinds if kind != ConsentKind.TRANSCRIPT]

    await waiting.run(Ear(meanwhile=take_out))
    assert await waiting.state() == TranscriptState.ERASED
    assert await waiting.nothing_is_kept()


async def test_a_missing_model_fails_with_its_reason_on_the_page(waiting: Waiting) -> None:
    with pytest.raises(SpeechModelMissing):
        await waiting.run(Ear(fails=SpeechModelMissing(SpeechModelMissing.__doc__)))
    row = await waiting.row()
    assert row.state == TranscriptState.FAILED
    assert "JUNIER_SPEECH_MODEL" in transcript_words(row, datetime.now(UTC))
    owner = await waiting.cast.browser("owner")
    assert "JUNIER_SPEECH_MODEL" in (await owner.get(f"/sessions/{waiting.cast.session}")).text


async def test_a_surprise_waits_for_another_try_says_nothing_of_its_content_and_heals(waiting: Waiting) -> None:
    with pytest.raises(ValueError):
        await waiting.run(Ear(fails=ValueError("Anna said something")))
    row = await waiting.row()
    assert row.state == TranscriptState.WAITING
    assert transcript_words(row, datetime.now(UTC)).startswith("will be tried again by itself")
    assert "Anna" not in (row.failure_reason or "")
    await waiting.run(Ear())
    row = await waiting.row()
    assert (row.state, row.failure_reason) == (TranscriptState.READY, None)


async def test_a_run_cut_off_in_the_middle_is_done_again_from_the_start(waiting: Waiting) -> None:
    """A killed child leaves the row running; the job comes back and nothing of it is lost or doubled."""
    async with waiting.cast.wiring.database.transaction(waiting.cast.account) as db:
        row = await db.get_one(Transcript, waiting.transcript)
        row.state, row.progress = TranscriptState.RUNNING, 0.5
    await waiting.run(Ear())
    assert await waiting.state() == TranscriptState.READY


async def test_words_that_a_run_stored_before_it_was_cut_off_go_when_nobody_agrees_any_more(waiting: Waiting) -> None:
    """The row is younger than the withdrawal that came at the same moment, whose erasure does not know it."""
    wiring = waiting.cast.wiring
    async with wiring.database.transaction(waiting.cast.account) as db:
        ref = recording_ref(await db.get_one(Recording, waiting.recording))
        (await db.get_one(Transcript, waiting.transcript)).state = TranscriptState.RUNNING
    cue = TranscriptCue(start_ms=0, end_ms=400, text=HEARD)
    text = TranscriptText(language="en", model="ear", cues=[cue])
    write_transcript(wiring.store, wiring.keys, ref, waiting.transcript, text)
    assert not await waiting.nothing_is_kept()
    await waiting.consent(ConsentKind.TRANSCRIPT, given=False)
    ear = Ear()
    await waiting.run(ear)
    assert (ear.stretches, await waiting.state()) == ([], TranscriptState.ERASED)
    assert await waiting.nothing_is_kept()


async def test_of_two_runs_at_once_one_is_published(waiting: Waiting) -> None:
    """A worker taken for dead that was alive after all."""
    second = Ear(name="second")
    first = Ear(name="first", meanwhile=lambda: waiting.run(second))
    await waiting.run(first)
    row = await waiting.row()
    assert (row.state, row.model) == (TranscriptState.READY, "second")
    assert not await waiting.nothing_is_kept()


async def test_another_kind_taken_back_while_the_model_listens_costs_no_words(waiting: Waiting) -> None:
    """Erasing the picture renews the index, so the recording is not called stored for a moment."""

    async def being_indexed() -> None:
        await waiting.recording_is(RecordingState.CAPTURED, index_key=None)

    await waiting.run(Ear(meanwhile=being_indexed))
    assert await waiting.state() == TranscriptState.READY


async def test_while_the_index_is_renewed_a_transcript_waits(waiting: Waiting) -> None:
    await waiting.recording_is(RecordingState.CAPTURED, index_key=None)
    ear = Ear()
    with pytest.raises(BeingIndexed):
        await waiting.run(ear)
    assert (await waiting.state(), ear.stretches) == (TranscriptState.WAITING, [])
    await finalise(waiting.cast.wiring, waiting.cast.account, waiting.recording)
    await waiting.run(ear)
    assert await waiting.state() == TranscriptState.READY


async def test_an_index_replaced_before_it_was_read_is_a_reason_to_wait(waiting: Waiting) -> None:
    async with waiting.cast.wiring.database.transaction(waiting.cast.account) as db:
        row = await db.get_one(Recording, waiting.recording)
        row.index_key = (row.index_key or "")[:-1] + "9"
    with pytest.raises(BeingIndexed):
        await waiting.run(Ear())
    assert await waiting.state() == TranscriptState.WAITING


async def test_a_run_that_failed_elsewhere_does_not_destroy_what_this_one_heard(waiting: Waiting) -> None:
    async def other_run_fails() -> None:
        with pytest.raises(ValueError):
            await waiting.run(Ear(fails=ValueError()))

    await waiting.run(Ear(meanwhile=other_run_fails))
    assert await waiting.state() == TranscriptState.READY
    assert not await waiting.nothing_is_kept()


async def test_a_voice_taken_back_and_given_anew_is_not_written_down_from_the_old_track(waiting: Waiting) -> None:
    async with waiting.cast.wiring.database.transaction(waiting.cast.account) as db:
        await db.execute(update(Track).where(Track.recording_id == waiting.recording).values(closed_at=func.now()))
    ear = Ear()
    await waiting.run(ear)
    assert (ear.stretches, await waiting.state()) == ([], TranscriptState.ERASED)


async def restricted(waiting: Waiting) -> UUID:
    """The participant asks in the middle of everything that their recordings are not used (GDPR Art. 18)."""
    cast = waiting.cast
    async with cast.wiring.database.transaction(cast.account) as db:
        request = await ask_request(
            db,
            cast.wiring,
            account=cast.account,
            participant=cast.participant.participant,
            kind=RequestKind.RESTRICTION,
        )
        return request.id


async def lifted(waiting: Waiting, request: UUID) -> None:
    """The owner lifts it, and the participant has been told."""
    cast = waiting.cast
    async with cast.wiring.database.transaction(cast.account) as db:
        mail = OutgoingMail(
            account_id=cast.account,
            person_id=cast.participant.participant,
            template="request_answered",
            optional=False,
            key="told",
            content=b"-",
            state=MailState.SENT,
        )
        db.add(mail)
        await db.flush()
        row = await db.get_one(DataRequest, request)
        row.state, row.mail_id = RequestState.LIFTING, mail.id
        await db.flush()
        assert await lift_when_told(db, request)


async def jobs_for(waiting: Waiting) -> int:
    async with waiting.cast.wiring.database.transaction(waiting.cast.account) as db:
        found = text("SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = 'transcribe' AND status = 'todo'")
        return int((await db.execute(found)).scalar_one())


async def test_a_restriction_that_arrives_while_the_model_listens_publishes_nothing_until_it_is_lifted(
    waiting: Waiting,
) -> None:
    wiring, requests = waiting.cast.wiring, []
    async with wiring.database.transaction(waiting.cast.account) as db:
        ref = recording_ref(await db.get_one(Recording, waiting.recording))
        await db.execute(text("UPDATE jobs.procrastinate_jobs SET status = 'succeeded' WHERE task_name = 'transcribe'"))

    async def restrict() -> None:
        requests.append(await restricted(waiting))

    ear = Ear(meanwhile=restrict)
    await waiting.run(ear)
    row = await waiting.row()
    assert ear.stretches and (row.state, row.object_key, row.words) == (TranscriptState.WAITING, None, None)
    assert list(wiring.store.remains(transcript_key(ref, waiting.transcript))) == []
    again = Ear()
    await waiting.run(again)
    assert (again.stretches, await waiting.state()) == ([], TranscriptState.WAITING), "kept and not used"
    assert await jobs_for(waiting) == 0
    await lifted(waiting, requests[0])
    assert await jobs_for(waiting) == 1
    await waiting.run(Ear())
    row = await waiting.row()
    assert row.state == TranscriptState.READY
    words = read_transcript(wiring.store, wiring.keys, ref, waiting.transcript, row.object_key or "")
    assert [cue.text for cue in words.cues] == [HEARD]


async def test_words_of_a_run_that_was_cut_off_before_a_restriction_wait_for_its_lifting(waiting: Waiting) -> None:
    wiring = waiting.cast.wiring
    async with wiring.database.transaction(waiting.cast.account) as db:
        ref = recording_ref(await db.get_one(Recording, waiting.recording))
        (await db.get_one(Transcript, waiting.transcript)).state = TranscriptState.RUNNING
    said = TranscriptText(language="en", model="ear", cues=[TranscriptCue(start_ms=0, end_ms=400, text=HEARD)])
    write_transcript(wiring.store, wiring.keys, ref, waiting.transcript, said)
    await restricted(waiting)
    ear = Ear()
    await waiting.run(ear)
    assert (ear.stretches, await waiting.state()) == ([], TranscriptState.WAITING)
    assert list(wiring.store.remains(transcript_key(ref, waiting.transcript))) == []


async def test_consent_taken_back_counts_for_more_than_a_restriction(waiting: Waiting) -> None:
    async def both() -> None:
        await restricted(waiting)
        await waiting.consent(ConsentKind.TRANSCRIPT, given=False)

    await waiting.run(Ear(meanwhile=both))
    assert await waiting.state() == TranscriptState.ERASED
    assert await waiting.nothing_is_kept()
