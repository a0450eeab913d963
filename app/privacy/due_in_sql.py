"""When a recording goes, as SQL: for ordering and counting what is too much to load.

The rule is app.sessions.policy.due; what a page shows of a recording is computed by it. This expression must
agree with it for every recording, which tests/app/test_due_in_sql.py holds over random facts.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, case, func, literal, null, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from app.sessions.models import Note, Recording, RecordingState, Session
from app.studies.models import Study

KEPT = (RecordingState.ERASED, RecordingState.EMPTY)
"""States in which nothing is held of a recording."""


def due_at(now: datetime) -> ColumnElement[datetime | None]:
    """Of Recording joined with Session and Study."""
    until = _until(Recording.created_at)
    held = Recording.held_reason.is_not(None) & (Recording.held_until.is_(None) | (Recording.held_until > now))
    gone_or_kept = Recording.erased_at.is_not(None) | Recording.restricted_at.is_not(None)
    return case(
        (gone_or_kept | until.is_(None) | (held & Recording.held_until.is_(None)), null()),
        (held, func.greatest(until, Recording.held_until)),
        else_=until,
    )


def items_by_session(now: datetime) -> Select[UUID, datetime | None]:
    """One line per session of which something is held: session_id and due, the first of its dates (None: no date)."""
    recordings = (
        select(Recording.session_id, due_at(now).label("due"))
        .join(Session, Session.id == Recording.session_id)
        .join(Study, Study.id == Session.study_id)
        .where(Recording.state.not_in(KEPT))
    )
    notes = (
        select(Note.session_id, _until(Note.at).label("due"))
        .join(Session, Session.id == Note.session_id)
        .join(Study, Study.id == Session.study_id)
    )
    items = union_all(recordings, notes).subquery("items")
    return select(items.c.session_id, func.min(items.c.due).label("due")).group_by(items.c.session_id)


def _until(began: ColumnElement[datetime] | InstrumentedAttribute[datetime]) -> ColumnElement[datetime]:
    """sessions.policy.keep_until and note_until. LEAST passes over what is not set."""
    days = func.make_interval(0, 0, 0, func.least(Study.retention_days, Session.retention_days))
    return func.coalesce(Session.ended_at, began).op("+", return_type=DateTime(timezone=True))(days)


def never() -> ColumnElement[datetime]:
    """Sorts after every date."""
    return literal("infinity").cast(DateTime(timezone=True))
