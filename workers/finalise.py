"""captured -> stored: write the sealed index of a recording, then ask for its transcript."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.database import Db
from app.jobs import enqueue
from app.sessions.dialogue import may_be_written_down
from app.sessions.models import Recording, RecordingState, Session, SessionState, Take, Track, Transcript
from app.sessions.service import recording_ref, track_ref
from app.settings import Settings
from app.studies.models import Study
from app.third_parties import storage_name
from app.wiring import Wiring
from recordings.encryption.keystore import KeyDestroyed
from recordings.finalise import finalise as write_index
from recordings.model import AccountId, Gap, IndexSummary, RecordingRef, TrackKind
from recordings.storage.layout import index_key


async def finalise(wiring: Wiring, account: AccountId, recording_id: UUID) -> None:
    """Safe to run twice and beside itself: each run claims its own generation of the index, and only a
    newer generation replaces the one the row names."""
    async with wiring.database.transaction(account) as db:
        row = await db.get(Recording, recording_id, with_for_update=True)
        if row is None or row.erased_at is not None:
            return
        ref = recording_ref(row)
        tracks = [track_ref(ref, t) for t in await _living_tracks(db, recording_id)]
        row.index_generation += 1
        generation = row.index_generation
        started_at = row.recorded_at.timestamp() if row.recorded_at else None  # what was timed keeps its times
        ends = await _ends(db, recording_id)
    try:
        summary = await asyncio.to_thread(
            write_index, wiring.store, wiring.keys, ref, tracks, generation, started_at=started_at
        )
    except KeyDestroyed:  # erased while we were reading: there is nothing left to index
        return
    async with wiring.database.transaction(account) as db:
        kept = await _keep(db, wiring.settings, recording_id, generation, summary, ends)
    await asyncio.to_thread(_drop_indexes, wiring, ref, generation, kept=kept)


async def _keep(
    db: Db, settings: Settings, recording_id: UUID, generation: int, summary: IndexSummary, ends: list[datetime | None]
) -> bool:
    """False when it came too late: the recording is erased, or a newer index is on its way. ends: of its takes when the
    index was begun; of a take that was not over by then it lacks a part, and another run follows."""
    row = await db.get(Recording, recording_id, with_for_update=True)
    if row is None or row.erased_at is not None or row.index_generation != generation:
        return False
    is_whole = None not in ends and ends == await _ends(db, recording_id)
    row.index_key = summary.object_key
    row.place = storage_name(settings)
    row.recorded_at = datetime.fromtimestamp(summary.started_at, UTC)
    row.duration_ms = summary.duration_ms
    row.interrupted, row.failure_reason = summary.interrupted, None
    row.gaps = [_gap(gap) for gap in summary.gaps]
    for track in summary.tracks:
        track_row = await db.get(Track, track.track)
        if track_row is not None:
            track_row.frames, track_row.bytes, track_row.duration_ms = track.frames, track.bytes, track.duration_ms
    recorded = any(t.frames for t in summary.tracks)
    if is_whole:
        row.state = RecordingState.STORED if recorded else RecordingState.EMPTY
    session = await db.get_one(Session, row.session_id)
    if is_whole and recorded and session.state == SessionState.ENDED:
        await _ask_for_transcript(db, row, session, summary)
    return True


def _gap(gap: Gap) -> dict[str, int | str]:
    """As the row keeps it; without a kind where the whole recording has nothing."""
    stored: dict[str, int | str] = {"from_ms": gap.from_ms, "to_ms": gap.to_ms, "why": gap.why}
    return stored | {"kind": gap.kind.value} if gap.kind else stored


async def _ask_for_transcript(db: Db, row: Recording, session: Session, summary: IndexSummary) -> None:
    """Only a voice, and only where its words may be written down."""
    voice = next((t for t in summary.tracks if t.kind is TrackKind.VOICE and t.frames), None)
    if voice is None:
        return
    study = await db.get_one(Study, session.study_id)
    if not await may_be_written_down(db, row, study):
        return
    made = await db.execute(
        insert(Transcript)
        .values(
            account_id=row.account_id,
            recording_id=row.id,
            track_id=voice.track,
            language=study.language,
            state="waiting",
            progress=0.0,
        )
        .on_conflict_do_nothing()
        .returning(Transcript.id)
    )
    transcript_id = made.scalar_one_or_none()
    if transcript_id is not None:
        await enqueue(
            db,
            "transcribe",
            instruction=f"study:{study.id}",
            account_id=row.account_id,
            transcript_id=transcript_id,
        )


async def _ends(db: Db, recording_id: UUID) -> list[datetime | None]:
    """When each take was over."""
    return list(await db.scalars(select(Take.ended_at).where(Take.recording_id == recording_id).order_by(Take.number)))


async def _living_tracks(db: Db, recording_id: UUID) -> list[Track]:
    found = await db.scalars(
        select(Track).where(Track.recording_id == recording_id, Track.erased_at.is_(None)).order_by(Track.created_at)
    )
    return list(found)


def _drop_indexes(wiring: Wiring, ref: RecordingRef, generation: int, *, kept: bool) -> None:
    """The older ones, or this one when it came too late: they name the times of a kind that may be erased."""
    own = index_key(ref, generation)
    prefix = own[: own.rindex("-") + 1]
    going = [s for s in wiring.store.remains(prefix) if (s.key < own if kept else s.key == own)]
    if going:
        wiring.store.delete(going)
