"""Trying again what failed: the index of a recording, or its transcript, through the jobs that made the first try."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select

from app.audit import Action, record
from app.database import Db, now_in
from app.errors import Conflict, Gone, NotThere
from app.jobs import enqueue
from app.sessions.models import Recording, RecordingState, Session, Track, Transcript, TranscriptState
from app.sessions.policy import RecordingFacts, keep_until
from app.sessions.service import recording_facts
from app.studies.models import Study


class Failed(StrEnum):
    RECORDING = "recording"
    TRANSCRIPT = "transcript"


class NothingFailed(Conflict):
    """Nothing failed here, so there is nothing to try again. The page may have been older than the state."""


class NotUsed(Conflict):
    """This recording is kept and not used: the participant asked for that."""


def what_failed(
    facts: RecordingFacts, transcripts: Collection[TranscriptState], retention_days: int | None, now: datetime
) -> Failed | None:
    """What may be tried again now. None: nothing failed, or it is erased, on its way out, or not to be used."""
    if out_of_reach(facts, retention_days, now) or facts.restricted_at is not None:
        return None
    if facts.state is RecordingState.FAILED:
        return Failed.RECORDING
    return Failed.TRANSCRIPT if TranscriptState.FAILED in transcripts else None


def out_of_reach(facts: RecordingFacts, retention_days: int | None, now: datetime) -> bool:
    """Erased, asked to be erased, or past its date."""
    until = keep_until(facts, retention_days)
    return facts.erased_at is not None or facts.hidden_at is not None or (until is not None and now >= until)


async def try_again(db: Db, *, recording: UUID, by: str) -> UUID:
    """Queue what failed of a recording; returns its session. by: as audit names it. Of two at once the second is
    refused. Raises NotThere, Gone, NotUsed, NothingFailed."""
    row = await db.get(Recording, recording, with_for_update=True)
    if row is None:
        raise NotThere
    session = await db.get_one(Session, row.session_id)
    study, now = await db.get_one(Study, session.study_id), await now_in(db)
    facts = recording_facts(row, session)
    if out_of_reach(facts, study.retention_days, now):
        raise Gone
    if facts.restricted_at is not None:
        raise NotUsed
    transcripts = await _failed_transcripts(db, recording)
    match what_failed(facts, [TranscriptState(one.state) for one in transcripts], study.retention_days, now):
        case Failed.RECORDING:
            await _finalise_again(db, row, by)
        case Failed.TRANSCRIPT:
            for transcript in transcripts:
                await _transcribe_again(db, transcript, by)
        case None:
            raise NothingFailed
    return row.session_id


async def _failed_transcripts(db: Db, recording: UUID) -> list[Transcript]:
    """Of voices that still stand."""
    found = await db.scalars(
        select(Transcript)
        .join(Track, Track.id == Transcript.track_id)
        .where(Transcript.recording_id == recording, Transcript.state == TranscriptState.FAILED)
        .where(Track.erased_at.is_(None), Track.closed_at.is_(None))
        .with_for_update(of=Transcript)
    )
    return list(found)


async def _finalise_again(db: Db, row: Recording, by: str) -> None:
    row.state, row.failure_reason = RecordingState.CAPTURED, None
    await enqueue(db, "finalise", instruction=by, account_id=row.account_id, recording_id=row.id)
    subject = f"recording:{row.id}"
    await record(db, account=row.account_id, actor=by, action=Action.RECORDING_TRIED_AGAIN, subject=subject)


async def _transcribe_again(db: Db, row: Transcript, by: str) -> None:
    row.state, row.failure_reason = TranscriptState.WAITING, None
    row.progress, row.began_at = 0.0, None
    await enqueue(db, "transcribe", instruction=by, account_id=row.account_id, transcript_id=row.id)
    subject = f"transcript:{row.id}"
    await record(db, account=row.account_id, actor=by, action=Action.TRANSCRIPT_TRIED_AGAIN, subject=subject)
