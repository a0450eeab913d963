"""When a recording, a note or an answer goes, as SQL: for ordering and counting what is too much to load.

The rules are app.sessions.policy.due, app.privacy.policy.after_holds and app.sessions.answering.answers_due; what a
page shows is computed by them. These expressions must agree with them for every row, which
tests/app/test_due_in_sql.py holds over random facts.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, Subquery, case, func, literal, null, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from app.sessions.models import Note, Recording, RecordingState, Session
from app.sessions.response_models import Response
from app.studies.models import Study

KEPT = (RecordingState.ERASED, RecordingState.EMPTY)
"""States in which nothing is held of a recording."""

_Moment = ColumnElement[datetime | None]


def due_at(now: datetime) -> _Moment:
    """Of Recording joined with Session and Study."""
    until = _until(Recording.created_at)
    held = held_at(now)
    gone_or_kept = Recording.erased_at.is_not(None) | Recording.restricted_at.is_not(None)
    return case(
        (gone_or_kept | until.is_(None) | (held & Recording.held_until.is_(None)), null()),
        (held, func.greatest(until, Recording.held_until)),
        else_=until,
    )


def items_by_session(now: datetime) -> Select[UUID, datetime | None]:
    """One line per session of which something is held: session_id and due, the first of its dates (None: no date).
    Holds are few, so they are gathered once and joined."""
    recordings = _with_study(Recording, due_at(now)).where(Recording.state.not_in(KEPT))
    of_session = _holds(now, Recording.session_id)
    notes = _with_study(Note, _after(_until(Note.at), of_session)).outerjoin(
        of_session, of_session.c.session_id == Note.session_id
    )
    of_person = _holds(now, Recording.session_id, Recording.person_id)
    due = case((Response.restricted_at.is_not(None), null()), else_=_after(_until(Response.answered_at), of_person))
    same = (of_person.c.session_id == Response.session_id) & (of_person.c.person_id == Response.participant_id)
    answers = _with_study(Response, due).outerjoin(of_person, same).where(Response.erased_at.is_(None))
    items = union_all(recordings, notes, answers).subquery("items")
    return select(items.c.session_id, func.min(items.c.due).label("due")).group_by(items.c.session_id)


def never() -> ColumnElement[datetime]:
    """Sorts after every date."""
    return literal("infinity").cast(DateTime(timezone=True))


def held_at(now: datetime) -> ColumnElement[bool]:
    """sessions.policy.is_held."""
    return Recording.held_reason.is_not(None) & (Recording.held_until.is_(None) | (Recording.held_until > now))


def _with_study(table: type[Recording | Note | Response], due: _Moment) -> Select[UUID, datetime | None]:
    joined = select(table.session_id, due.label("due")).join(Session, Session.id == table.session_id)
    return joined.join(Study, Study.id == Session.study_id)


def _until(began: InstrumentedAttribute[datetime]) -> ColumnElement[datetime]:
    """sessions.policy.keep_until, note_until and answers_until. LEAST passes over what is not set."""
    days = func.make_interval(0, 0, 0, func.least(Study.retention_days, Session.retention_days))
    return func.coalesce(Session.ended_at, began).op("+", return_type=DateTime(timezone=True))(days)


def _holds(now: datetime, *by: InstrumentedAttribute[UUID]) -> Subquery:
    """What holds keep, by session or by person in it: for_good (one has no end), last (the last end)."""
    standing = select(
        *by,
        func.bool_or(Recording.held_until.is_(None)).label("for_good"),
        func.max(Recording.held_until).label("last"),
    )
    return standing.where(Recording.erased_at.is_(None), held_at(now)).group_by(*by).subquery()


def _after(until: ColumnElement[datetime], holds: Subquery) -> _Moment:
    """The later of `until` and the holds beside it; GREATEST passes over what is not set."""
    return case((until.is_(None) | holds.c.for_good, null()), else_=func.greatest(until, holds.c.last))
