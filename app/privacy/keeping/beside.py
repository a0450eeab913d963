"""What goes beside recordings: the notes and answers of sessions, each with its date by the rules that erase it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.privacy.erasing.policy import after_holds
from app.sessions.answering import answers_due
from app.sessions.models import Note, Recording, Session
from app.sessions.policy import RecordingFacts, note_until
from app.sessions.response_models import Response
from app.sessions.responses import facts_of
from app.sessions.service import recording_facts
from app.studies.clocks import Kind, days_of, shortest
from app.studies.models import Study

DaysOf = Callable[[Session, Study, Kind, Recording | Response | None], int | None]


def days_kept(
    session: Session, study: Study, kind: Kind = Kind.ALL, row: Recording | Response | None = None
) -> int | None:
    """As it stands: the shortest clock wins. row: None: what is nobody's own."""
    own = row.periods if row is not None else {}
    days = shortest(study.retention_days, session.retention_days)
    return days_of(kind, days, study.periods, session.periods, own)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The dates of one session's notes and answers; None: not by itself."""

    notes: tuple[datetime | None, ...]
    answers: tuple[datetime | None, ...]


NOTHING_BESIDE = Beside(notes=(), answers=())


async def beside_recordings(
    db: Db, sessions: Sequence[tuple[Session, Study]], now: datetime, days: DaysOf
) -> dict[UUID, Beside]:
    """By session. days: how long each keeps, or would keep."""
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
    found = {}
    for session, study in sessions:
        found[session.id] = Beside(
            notes=tuple(
                after_holds(
                    note_until(note.at, session.ended_at, days(session, study, Kind.ALL, None)),
                    recorded.get(session.id, ()),
                    now,
                )
                for note in notes
                if note.session_id == session.id
            ),
            answers=tuple(
                answers_due(answered[row.id], days(session, study, Kind.ANSWERS, row))
                for row in responses
                if row.session_id == session.id
            ),
        )
    return found
