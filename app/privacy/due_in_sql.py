"""When a recording, a note or an answer goes, as SQL: for ordering and counting what is too much to load.

The rules are app.sessions.policy.due, app.privacy.policy.after_holds and app.sessions.answering.answers_due; what a
page shows is computed by them. These expressions must agree with them for every row, which
tests/app/test_due_in_sql.py holds over random facts.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, case, func, literal, null, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.sessions.models import Note, Recording, RecordingState, Session
from app.sessions.response_models import Response
from app.studies.models import Study

KEPT = (RecordingState.ERASED, RecordingState.EMPTY)
"""States in which nothing is held of a recording."""

_Moment = ColumnElement[datetime | None]
_beside = aliased(Recording)  # recordings of the same session, or of the same person in it


def due_at(now: datetime) -> _Moment:
    """Of Recording joined with Session and Study."""
    until = _until(Recording.created_at)
    held = _is_held(Recording, now)
    gone_or_kept = Recording.erased_at.is_not(None) | Recording.restricted_at.is_not(None)
    return case(
        (gone_or_kept | until.is_(None) | (held & Recording.held_until.is_(None)), null()),
        (held, func.greatest(until, Recording.held_until)),
        else_=until,
    )


def note_due_at(now: datetime) -> _Moment:
    """Of Note joined with Session and Study."""
    return _after_holds(_until(Note.at), _beside.session_id == Note.session_id, now)


def answers_due_at(now: datetime) -> _Moment:
    """Of Response joined with Session and Study."""
    same = (_beside.session_id == Response.session_id) & (_beside.person_id == Response.participant_id)
    after_holds = _after_holds(_until(Response.answered_at), same, now)
    return case((Response.restricted_at.is_not(None), null()), else_=after_holds)


def items_by_session(now: datetime) -> Select[UUID, datetime | None]:
    """One line per session of which something is held: session_id and due, the first of its dates (None: no date)."""
    recordings = _with_study(Recording, due_at(now)).where(Recording.state.not_in(KEPT))
    notes = _with_study(Note, note_due_at(now))
    answers = _with_study(Response, answers_due_at(now)).where(Response.erased_at.is_(None))
    items = union_all(recordings, notes, answers).subquery("items")
    return select(items.c.session_id, func.min(items.c.due).label("due")).group_by(items.c.session_id)


def never() -> ColumnElement[datetime]:
    """Sorts after every date."""
    return literal("infinity").cast(DateTime(timezone=True))


def _with_study(table: type[Recording | Note | Response], due: _Moment) -> Select[UUID, datetime | None]:
    joined = select(table.session_id, due.label("due")).join(Session, Session.id == table.session_id)
    return joined.join(Study, Study.id == Session.study_id)


def _until(began: InstrumentedAttribute[datetime]) -> ColumnElement[datetime]:
    """sessions.policy.keep_until, note_until and answers_until. LEAST passes over what is not set."""
    days = func.make_interval(0, 0, 0, func.least(Study.retention_days, Session.retention_days))
    return func.coalesce(Session.ended_at, began).op("+", return_type=DateTime(timezone=True))(days)


def _is_held(of: type[Recording], now: datetime) -> ColumnElement[bool]:
    return of.held_reason.is_not(None) & (of.held_until.is_(None) | (of.held_until > now))


def _after_holds(until: ColumnElement[datetime], same: ColumnElement[bool], now: datetime) -> _Moment:
    """The later of `until` and the holds on recordings that are the `same`; GREATEST passes over what is not set."""
    holds = same & _beside.erased_at.is_(None) & _is_held(_beside, now)
    for_good = select(_beside.id).where(holds, _beside.held_until.is_(None)).exists()
    last = select(func.max(_beside.held_until)).where(holds).scalar_subquery()
    return case((until.is_(None) | for_good, null()), else_=func.greatest(until, last))
