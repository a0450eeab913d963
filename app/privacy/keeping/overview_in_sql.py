"""What the retention overview asks, put together once: that takes as long as asking it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Uuid,
    any_,
    bindparam,
    case,
    false,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.accounts.models import Account
from app.privacy.keeping.held_in_sql import KEPT
from app.privacy.keeping.holds import reviews_soon
from app.privacy.records.models import SessionDue
from app.sessions.models import Note, Recording, Session, Track, Transcript, TranscriptState
from app.sessions.response_models import Response
from app.studies.clocks import IDLE
from app.studies.models import Study

_ALIKE = (
    Recording.session_id,
    Recording.person_is_member,
    Recording.state,
    Recording.held_reason,
    Recording.held_until,
    Recording.restricted_at,
    Recording.hidden_at,
    Recording.erased_at,
    Recording.index_key.is_(None),
    Recording.periods,
)
"""What the date of a recording follows from: hundreds stand on a page, and most of a session are alike."""


def _of_all() -> Select[Account, int, int, int, int, datetime | None]:
    """Each from an index alone. All sessions are counted in the order of dates, which keeps PostgreSQL from reading the
    table instead and asking of every row whose it is."""
    now = bindparam("now", type_=DateTime(timezone=True))
    first = SessionDue.due
    every = select(first).order_by(first, SessionDue.session_id).subquery()
    number = select(func.count()).select_from(SessionDue)
    return select(
        Account,
        reviews_soon(now).label("reviews"),
        select(func.count()).select_from(every).scalar_subquery().label("sessions"),
        number.where(first <= now).scalar_subquery().label("overdue"),
        number.where(first.is_(None)).scalar_subquery().label("without_date"),
        select(func.min(first)).where(first > now).scalar_subquery().label("next_due"),
    ).where(Account.account_id == bindparam("account_id"))


def _in_order() -> Select[*tuple[Any, ...]]:
    """The sessions of which anything is held, by their first date. What is held is looked up for those only which a
    page shows: as a join PostgreSQL would read all tracks of the account. OFFSET 0 keeps it from reading all sessions
    and studies for the same reason."""
    by_date = (SessionDue.due, SessionDue.session_id)  # NULL stands last
    shown = select(*by_date).order_by(*by_date).limit(bindparam("rows")).offset(bindparam("skipped")).subquery("shown")
    one = select(Session).where(Session.id == shown.c.session_id).offset(0).lateral("one")
    of = select(Study).where(Study.id == one.c.study_id).offset(0).lateral("of")
    held = (Recording.session_id == one.c.id) & Recording.state.not_in(KEPT)
    people = select(func.count(Recording.person_id.distinct())).where(held, Recording.person_is_member.is_(False))
    tracks = (
        select(func.array_agg(Track.kind.distinct()))
        .join(Recording, Recording.id == Track.recording_id)
        .where(held, Track.erased_at.is_(None))
    )
    written = (
        select(true())
        .select_from(Transcript)
        .join(Recording, Recording.id == Transcript.recording_id)
        .where(held, Transcript.state == TranscriptState.READY)
        .limit(1)
    )
    notes = select(true()).where(Note.session_id == one.c.id).limit(1)
    answers = select(true()).where(Response.session_id == one.c.id, Response.erased_at.is_(None)).limit(1)
    return (
        select(
            one.c.id,
            one.c.title,
            one.c.created_at,
            one.c.ended_at,
            one.c.retention_days,
            _said(one.c.periods).label("periods"),
            of.c.id.label("study_id"),
            of.c.title.label("study"),
            of.c.retention_days.label("study_days"),
            _said(of.c.periods).label("study_periods"),
            people.scalar_subquery().label("people"),
            tracks.scalar_subquery().label("tracks"),
            written.scalar_subquery().label("written"),
            func.coalesce(notes.scalar_subquery(), answers.scalar_subquery(), false()).label("more"),
        )
        .select_from(shown)
        .join(one, true())
        .join(of, true())
        .order_by(shown.c.due, shown.c.session_id)
    )


def _said(periods: ColumnElement[Any]) -> ColumnElement[Any]:
    """Hardly any level says something of a kind: nothing instead of an empty object that has to be read."""
    return func.nullif(periods, literal_column("'{}'::jsonb"), type_=JSONB)


def _alike() -> Select[*tuple[Any, ...]]:
    """What is held of these sessions, as rows of how many are alike; of a session that has not ended each date counts
    from its own beginning."""
    begun = case((Recording.session_id == any_(bindparam("going_on", type_=ARRAY(Uuid))), Recording.created_at))
    in_study = Recording.session_id == any_(bindparam("idle", type_=ARRAY(Uuid)))
    idle = case((in_study | Recording.periods.has_key(IDLE), Recording.idle_until.expression))  # asked where it says so
    return (
        select(
            *_ALIKE,
            idle.label("idle_until"),
            func.min(Recording.index_key).label("index_key"),
            func.min(Recording.created_at).label("created_at"),
            func.count().label("number"),
        )
        .where(
            Recording.session_id == any_(bindparam("sessions", type_=ARRAY(Uuid))),
            Recording.state.not_in(KEPT),
        )
        .group_by(*_ALIKE, begun, idle)
    )


OF_ALL, IN_ORDER, HELD = _of_all(), _in_order(), _alike()
