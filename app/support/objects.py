"""What a grant opens, as its page shows it: recordings by number, since no name of a person is there to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db, now_in
from app.language import gettext
from app.sessions.models import Recording, Session, Track, Transcript, TranscriptState
from app.sessions.policy import readable
from app.sessions.service import recording_facts
from app.studies.models import Study
from recordings.model import TrackKind


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One recording. person: their number in this object; why_not: the reason it is not shown now, "" otherwise."""

    id: UUID
    person: int
    is_member: bool
    stream: str
    state: str
    recorded_at: datetime | None
    duration_ms: int
    interrupted: bool
    failure: str
    why_not: str
    has_picture: bool
    has_transcript: bool


async def shown(db: Db, rows: Sequence[Recording]) -> list[Shown]:
    """The same rules as for members decide what is readable."""
    ids, now = [row.id for row in rows], await now_in(db)
    tracks = await db.execute(select(Track.recording_id, Track.kind).where(Track.recording_id.in_(ids)))
    pictures = {recording for recording, kind in tracks if TrackKind(kind).is_video}
    ready = Transcript.recording_id.in_(ids), Transcript.state == TranscriptState.READY
    transcripts = set(await db.scalars(select(Transcript.recording_id).where(*ready)))
    persons = list(dict.fromkeys(row.person_id for row in rows))
    found = []
    for row in rows:
        session = await db.get_one(Session, row.session_id)
        study = await db.get_one(Study, session.study_id)
        decision = readable(recording_facts(row, session), study.retention_days, now)
        found.append(
            Shown(
                id=row.id,
                person=persons.index(row.person_id) + 1,
                is_member=row.person_is_member,
                stream=row.stream,
                state=row.state,
                recorded_at=row.recorded_at,
                duration_ms=row.duration_ms or 0,
                interrupted=row.interrupted,
                failure=row.failure_reason or "",
                why_not="" if decision else gettext(decision.reason),
                has_picture=row.id in pictures,
                has_transcript=bool(decision) and row.id in transcripts,
            )
        )
    return found
