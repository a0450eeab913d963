"""stored -> transcript: one voice track through the speech model into a sealed transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from uuid import UUID

from sqlalchemy import update

from app.database import Db
from app.library.transcripts import (
    NO_WORDS,
    TranscriptCue,
    TranscriptGap,
    TranscriptText,
    TranscriptWord,
    drop_unpublished,
    erase_unpublished,
    write_transcript,
)
from app.participants.consents import standing_consents
from app.participants.models import ConsentPurpose
from app.sessions.dialogue import may_be_written_down
from app.sessions.models import Recording, RecordingState, Session, Track, Transcript, TranscriptState
from app.sessions.service import recording_ref, track_ref
from app.settings import EU_COUNTRIES
from app.studies.models import ConsentKind, Study
from app.wiring import Wiring
from recordings.encryption.keystore import KeyDestroyed
from recordings.model import AccountId, RecordingRef, TrackRef
from recordings.samples import voice_samples
from recordings.storage.layout import generation_of
from recordings.storage.store import ObjectMissing
from workers.giving_up import reason_of
from workers.speech import LONGEST_S, Transcriber, Transcription, transcribe_stretches

PROGRESS_STEP = 0.02


class EngineOutsideEu(Exception):
    """The speech engine is outside the European Union, and the person has not agreed to that"""

    retry = False

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class BeingIndexed(Exception):
    """The recording is being made ready anew; its voice is heard after that."""

    retry = True

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, kw_only=True)
class _Task:
    transcript: UUID
    recording: RecordingRef
    track: TrackRef
    index_key: str
    generation: int
    language: str
    duration_ms: int


@dataclass(frozen=True)
class _Unwanted:
    """Nobody agrees to it any more, or its recording goes."""

    recording: RecordingRef


class _Fate(Enum):
    """What becomes of words that were heard."""

    KEPT = auto()
    UNWANTED = auto()
    RESTRICTED = auto()  # dropped, and to be heard again once that is lifted


async def transcribe(
    wiring: Wiring, open_transcriber: Callable[[], Transcriber], account: AccountId, transcript_id: UUID
) -> None:
    """Safe to run twice: only the first finished run is published; consent, erasure and restriction are looked at
    before the model hears a sample and again before a word is kept."""
    async with wiring.database.transaction(account) as db:
        task = await _begin(db, wiring, transcript_id)
    if task is None:
        return
    if isinstance(task, _Unwanted):  # a run that was cut off may have stored words already
        await asyncio.to_thread(erase_unpublished, wiring.store, wiring.keys, task.recording, transcript_id)
        async with wiring.database.transaction(account) as db:
            unwanted = await db.get_one(Transcript, transcript_id, with_for_update=True)
            unwanted.state, unwanted.erased_at = TranscriptState.ERASED, unwanted.erased_at or datetime.now(UTC)
        return
    loop = asyncio.get_running_loop()
    said = 0.0

    def on_progress(share: float) -> None:
        nonlocal said
        if share - said >= PROGRESS_STEP:
            said = share
            asyncio.run_coroutine_threadsafe(_progress(wiring, account, transcript_id, share), loop)

    def hear(transcriber: Transcriber) -> tuple[Transcription, str]:
        stretches = voice_samples(
            wiring.store,
            wiring.keys,
            task.recording,
            task.index_key,
            task.generation,
            task.track,
            longest_s=LONGEST_S,
        )
        try:
            heard = transcribe_stretches(
                transcriber, stretches, language=task.language, total_ms=task.duration_ms, on_progress=on_progress
            )
        except ObjectMissing as error:  # the index was replaced since the row was read
            raise BeingIndexed from error
        return heard, transcriber.name

    try:
        transcriber = await asyncio.to_thread(open_transcriber)
        async with wiring.database.transaction(account) as db:
            await _require_engine_allowed(db, transcriber, task.recording)
        heard, model = await asyncio.to_thread(hear, transcriber)
        text = _text(task, heard, model)
        key = await asyncio.to_thread(write_transcript, wiring.store, wiring.keys, task.recording, transcript_id, text)
    except KeyDestroyed:  # erased meanwhile: nothing may be kept
        return
    except Exception as error:
        async with wiring.database.transaction(account) as db:
            row = await db.get(Transcript, transcript_id)
            if row is not None and row.state == TranscriptState.RUNNING:
                final = getattr(error, "retry", True) is False
                row.state = TranscriptState.FAILED if final else TranscriptState.WAITING
                row.failure_reason = reason_of(error, "The transcription stopped unexpectedly")
        raise
    async with wiring.database.transaction(account) as db:
        fate = await _publish(db, wiring, transcript_id, heard, model, key)
    if fate is _Fate.UNWANTED:
        await asyncio.to_thread(erase_unpublished, wiring.store, wiring.keys, task.recording, transcript_id)


async def _begin(db: Db, wiring: Wiring, transcript_id: UUID) -> _Task | _Unwanted | None:
    row = await db.get(Transcript, transcript_id, with_for_update=True)
    if row is None or row.state in (TranscriptState.READY, TranscriptState.ERASED):
        return None
    recording = await db.get_one(Recording, row.recording_id)
    track = await db.get_one(Track, row.track_id)
    if not await _may_transcribe(db, recording, track):
        return _Unwanted(recording_ref(recording))
    if recording.restricted_at is not None:
        await _wait_for_lifting(wiring, row, recording)
        return None
    if recording.state != RecordingState.STORED or recording.index_key is None:
        raise BeingIndexed
    row.state, row.failure_reason = TranscriptState.RUNNING, None
    row.progress, row.began_at = 0.0, datetime.now(UTC)
    ref = recording_ref(recording)
    return _Task(
        transcript=transcript_id,
        recording=ref,
        track=track_ref(ref, track),
        index_key=recording.index_key,
        generation=generation_of(recording.index_key),
        language=row.language,
        duration_ms=recording.duration_ms or 0,
    )


async def _require_engine_allowed(db: Db, engine: Transcriber, recording: RecordingRef) -> None:
    """Nothing leaves the European Union without a consent of its own; a member has no page to give one.
    Raises EngineOutsideEu."""
    if not engine.country or engine.country in EU_COUNTRIES:
        return
    agreed = await standing_consents(
        db, session=recording.session, participant=recording.person, purpose=ConsentPurpose.ENGINE_OUTSIDE_EU
    )
    if ConsentKind.TRANSCRIPT not in agreed:
        raise EngineOutsideEu


async def _may_transcribe(db: Db, recording: Recording, track: Track) -> bool:
    """Whether it is still there and agreed to; that another kind's withdrawal renews the index changes nothing."""
    stands = recording.erased_at is None and recording.hidden_at is None
    stands = stands and track.erased_at is None and track.closed_at is None
    session = await db.get_one(Session, recording.session_id)
    return stands and await may_be_written_down(db, recording, await db.get_one(Study, session.study_id))


async def _wait_for_lifting(wiring: Wiring, row: Transcript, recording: Recording) -> None:
    """A restricted voice is kept and not used (GDPR Art. 18(2)): no word of it stays. The job comes again when that is
    lifted and needs the transcript's key. row: locked, so that no other run begins before the words are gone."""
    await asyncio.to_thread(drop_unpublished, wiring.store, recording_ref(recording), row.id)
    row.state, row.progress = TranscriptState.WAITING, 0.0


async def _publish(db: Db, wiring: Wiring, transcript_id: UUID, heard: Transcription, model: str, key: str) -> _Fate:
    row = await db.get(Transcript, transcript_id, with_for_update=True)
    if row is None or row.state in (TranscriptState.READY, TranscriptState.ERASED):
        return _Fate.KEPT if row is not None and row.state == TranscriptState.READY else _Fate.UNWANTED
    recording = await db.get_one(Recording, row.recording_id)
    track = await db.get_one(Track, row.track_id)
    if not await _may_transcribe(db, recording, track):
        row.state, row.erased_at = TranscriptState.ERASED, datetime.now(UTC)
        return _Fate.UNWANTED
    if recording.restricted_at is not None:  # it came while the model listened
        await _wait_for_lifting(wiring, row, recording)
        return _Fate.RESTRICTED
    row.state, row.progress, row.ready_at = TranscriptState.READY, 1.0, datetime.now(UTC)
    row.failure_reason = None
    row.model, row.coverage, row.object_key = model, heard.coverage, key
    row.words = sum(len(c.words) for c in heard.cues)
    return _Fate.KEPT


async def _progress(wiring: Wiring, account: AccountId, transcript_id: UUID, share: float) -> None:
    """In one statement: what was published meanwhile stays as it is."""
    async with wiring.database.transaction(account) as db:
        running = Transcript.id == transcript_id, Transcript.state == TranscriptState.RUNNING
        await db.execute(update(Transcript).where(*running).values(progress=share))


def _text(task: _Task, heard: Transcription, model: str) -> TranscriptText:
    return TranscriptText(
        language=task.language,
        model=model,
        coverage=heard.coverage,
        cues=[
            TranscriptCue(
                start_ms=c.start_ms,
                end_ms=c.end_ms,
                text=c.text,
                words=[TranscriptWord(start_ms=w.start_ms, end_ms=w.end_ms, text=w.text) for w in c.words],
            )
            for c in heard.cues
        ],
        gaps=[TranscriptGap(from_ms=start, to_ms=end, why=NO_WORDS) for start, end in heard.unheard],
    )
