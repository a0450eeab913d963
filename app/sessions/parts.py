"""Parts of recordings with clocks of their own: what kinds a recording has, when each goes, and which are past."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Columns, Db
from app.sessions.models import Recording, Session, Track, Transcript, TranscriptState
from app.sessions.policy import due, keep_until
from app.sessions.service import recording_facts
from app.studies.clocks import KIND_OF_TRACK, PARTS, Kind, days_of
from app.studies.models import Study


def in_parts(row: Recording | Columns, session: Session, study: Study) -> bool:
    """Does any level say something of a kind? Otherwise a recording goes as a whole."""
    return bool(row.periods or session.periods or study.periods)


def past_kinds(row: Recording | Columns, session: Session, study: Study, now: datetime) -> frozenset[Kind]:
    """What of a recording nobody may see any more, though the rest may be seen."""
    if not in_parts(row, session, study):
        return frozenset()
    facts = recording_facts(row, session)
    ends = {kind: keep_until(facts, part_days(kind, row, session, study)) for kind in PARTS}
    return frozenset(kind for kind, until in ends.items() if until is not None and now >= until)


def parts_due(
    row: Recording | Columns, session: Session, study: Study, held: Collection[Kind], now: datetime
) -> dict[Kind, datetime]:
    """When those of these kinds are erased by themselves that go before the rest of the recording, as due() says."""
    if not in_parts(row, session, study):
        return {}
    facts = recording_facts(row, session)
    whole = due(facts, study.retention_days, now)
    dates = {kind: due(facts, part_days(kind, row, session, study), now) for kind in PARTS if kind in held}
    return {kind: at for kind, at in dates.items() if at is not None and (whole is None or at < whole)}


def part_days(kind: Kind, row: Recording | Columns, session: Session, study: Study) -> int | None:
    """The shortest of all levels, in days."""
    days = study.retention_days
    return days_of(kind, days, study.periods, session.periods, row.periods)


async def held_parts(
    db: Db, recordings: Collection[UUID], *, asked_too: bool = False
) -> Mapping[UUID, frozenset[Kind]]:
    """What each still has, by recording. asked_too: also what is being erased."""
    found: dict[UUID, set[Kind]] = defaultdict(set)
    if recordings:
        tracks = select(Track.recording_id, Track.kind).where(Track.recording_id.in_(recordings))
        transcripts = select(Transcript.recording_id).where(Transcript.recording_id.in_(recordings))
        tracks, transcripts = tracks.where(Track.erased_at.is_(None)), transcripts.where(Transcript.erased_at.is_(None))
        if not asked_too:
            tracks = tracks.where(Track.closed_at.is_(None))
            transcripts = transcripts.where(Transcript.state != TranscriptState.ERASED)
        for recording, kind in await db.execute(tracks):
            found[recording].add(KIND_OF_TRACK[kind])
        for recording in await db.scalars(transcripts):
            found[recording].add(Kind.TRANSCRIPT)
    return {recording: frozenset(kinds) for recording, kinds in found.items()}
