"""What goes beside recordings: the notes and answers of sessions, each with its date by the rules that erase it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.privacy.erasing.policy import after_holds
from app.sessions.activity import Taken, last_active
from app.sessions.answering import answers_due
from app.sessions.models import Note, Recording, Session
from app.sessions.policy import RecordingFacts, after_last, note_until
from app.sessions.response_models import Response
from app.sessions.responses import facts_of
from app.sessions.service import recording_facts
from app.studies.clocks import Kept, Kind, kept_by, shortest
from app.studies.models import Study

KeptOf = Callable[[Session, Study, Kind, Recording | Response | None], Kept]


def as_kept(session: Session, study: Study, kind: Kind = Kind.ALL, row: Recording | Response | None = None) -> Kept:
    """As it stands: the shortest clock wins. row: None: what is nobody's own."""
    own = row.periods if row is not None else {}
    days = shortest(study.retention_days, session.retention_days)
    return kept_by(kind, days, study.periods, session.periods, own)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The dates of one session's notes and answers; None: not by itself."""

    notes: tuple[datetime | None, ...]
    answers: tuple[datetime | None, ...]


NOTHING_BESIDE = Beside(notes=(), answers=())


async def beside_recordings(
    db: Db, sessions: Sequence[tuple[Session, Study]], now: datetime, kept_of: KeptOf
) -> dict[UUID, Beside]:
    """By session. kept_of: how long each keeps, or would keep."""
    ids = [session.id for session, _ in sessions]
    by_id = {session.id: session for session, _ in sessions}
    notes = (await db.scalars(select(Note).where(Note.session_id.in_(ids)))).all()
    responses = (
        await db.scalars(select(Response).where(Response.session_id.in_(ids), Response.erased_at.is_(None)))
    ).all()
    answered = await facts_of(db, responses, now)
    with_notes = {note.session_id for note in notes}
    recorded: dict[UUID, list[RecordingFacts]] = {}
    if with_notes:
        for row in await db.scalars(select(Recording).where(Recording.session_id.in_(with_notes))):
            recorded.setdefault(row.session_id, []).append(recording_facts(row, by_id[row.session_id]))
    studies = {session.id: study for session, study in sessions}

    def kept(row: Note | Response) -> Kept:
        session, study = by_id[row.session_id], studies[row.session_id]
        if isinstance(row, Note):
            return kept_of(session, study, Kind.ALL, None)
        return kept_of(session, study, Kind.ANSWERS, row)

    rows: list[Note | Response] = [*notes, *responses]
    active = await last_active(db, [_taken(row) for row in rows if kept(row).idle is not None])

    def idle_until(row: Note | Response) -> datetime | None:
        began = row.at if isinstance(row, Note) else row.answered_at
        return after_last(by_id[row.session_id].ended_at or began, active.get(_taken(row)), kept(row).idle)

    def goes(row: Note | Response) -> datetime | None:
        if isinstance(row, Note):
            until = note_until(row.at, by_id[row.session_id].ended_at, kept(row).days, idle_until(row))
            return after_holds(until, recorded.get(row.session_id, ()), now)
        return answers_due(replace(answered[row.id], idle_until=idle_until(row)), kept(row).days)

    return {
        session.id: Beside(
            notes=tuple(goes(note) for note in notes if note.session_id == session.id),
            answers=tuple(goes(row) for row in responses if row.session_id == session.id),
        )
        for session, _ in sessions
    }


def _taken(row: Note | Response) -> Taken:
    return row.session_id, None if isinstance(row, Note) else row.participant_id
