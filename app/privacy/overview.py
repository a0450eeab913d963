"""What will be erased when, session by session: the first to go first, nothing left out.

Names of people are not read here: sessions, dates, counts and kinds are enough to decide by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

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
from app.database import Columns, Db
from app.privacy.axis import Span
from app.privacy.beside import NOTHING_BESIDE, Beside, beside_recordings, days_kept
from app.privacy.held_in_sql import KEPT
from app.privacy.holds import reviews_soon
from app.privacy.models import SessionDue
from app.privacy.policy import TRANSCRIPT
from app.sessions.listing import TRACK_WORDS
from app.sessions.models import Note, Recording, Session, Track, Transcript, TranscriptState
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import due, is_held
from app.sessions.response_models import Response
from app.sessions.service import recording_facts
from app.studies.clocks import Kind, days_of, shortest
from app.studies.models import Study
from recordings.model import AccountId

DAYS_ONE_BY_ONE = timedelta(days=7)
WEEKS_ONE_BY_ONE = timedelta(days=30)
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


@dataclass(frozen=True, kw_only=True)
class Line:
    """One session of which something is held. due: the first of its dates, None: not by itself; kinds: in words;
    going: recordings whose erasure was asked for already; since: when the first of it was recorded or written."""

    session: UUID
    title: str
    study: str
    study_id: UUID
    since: datetime
    due: datetime | None
    last_due: datetime | None
    people: int
    recordings: int
    notes: int
    answers: int
    kinds: tuple[str, ...]
    held: int
    restricted: int
    going: int
    days: int | None

    @property
    def span(self) -> Span:
        return Span(since=self.since, first_end=self.due, last_end=self.last_due)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Sessions whose first date falls into one stretch of time."""

    heading: str
    overdue: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """One page of it, and what is true of all pages. next_due: the next date to come; reviews: how many holds are to
    be looked at again soon."""

    account: Account
    reviews: int
    groups: tuple[Group, ...]
    sessions: int
    overdue: int
    without_date: int
    next_due: datetime | None
    more: bool

    @property
    def spans(self) -> list[Span]:
        return [line.span for group in self.groups for line in group.lines]


def heading(due_at: datetime | None, now: datetime) -> str:
    """The stretch of time a date belongs to: days for a week, weeks for a month, then months (all in UTC)."""
    if due_at is None:
        return "Until somebody asks"
    if due_at <= now:
        return "Past its date"
    on, today = due_at.astimezone(UTC).date(), now.astimezone(UTC).date()
    if on == today:
        return "Today"
    if on - today <= DAYS_ONE_BY_ONE:
        return f"{on:%A}, {on.day} {on:%B %Y}"
    if on - today <= WEEKS_ONE_BY_ONE:
        monday = on - timedelta(days=on.weekday())
        return f"Week of {monday.day} {monday:%B %Y}"
    return f"{on:%B %Y}"


async def overview(db: Db, account: AccountId, now: datetime, *, limit: int, offset: int) -> Overview:
    """Ordered by the first date, then by session; what has no date stands last."""
    known = (await db.execute(_OF_ALL, {"account_id": account, "now": now})).one()
    page = (await db.execute(_IN_ORDER, {"rows": limit + 1, "skipped": offset})).all()
    lines = await _lines(db, page[:limit], now)
    return Overview(
        account=known.Account,
        reviews=known.reviews,
        groups=_grouped(lines, now),
        sessions=known.sessions,
        overdue=known.overdue,
        without_date=known.without_date,
        next_due=known.next_due,
        more=len(page) > limit,
    )


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
    return (
        select(
            *_ALIKE,
            func.min(Recording.index_key).label("index_key"),
            func.min(Recording.created_at).label("created_at"),
            func.count().label("number"),
        )
        .where(
            Recording.session_id == any_(bindparam("sessions", type_=ARRAY(Uuid))),
            Recording.state.not_in(KEPT),
        )
        .group_by(*_ALIKE, begun)
    )


_OF_ALL, _IN_ORDER, _HELD = _of_all(), _in_order(), _alike()
"""Made once: putting them together takes as long as asking them."""


async def _lines(db: Db, page: Sequence[Columns], now: datetime) -> list[Line]:
    """page: rows of _IN_ORDER."""
    recordings = await _recordings(db, page)
    noted = {row.id for row in page if row.more}
    parts = {
        row.id
        for row in page
        if row.study_periods or row.periods or any(one.periods for one in recordings.get(row.id, ()))
    }
    whole = await _whole(db, noted | parts) if noted or parts else {}
    beside = await beside_recordings(db, [whole[one] for one in whole if one in noted], now, days_kept) if noted else {}
    sooner = await _sooner(db, {one: whole[one] for one in whole if one in parts}, now) if parts else {}
    return [
        _line(row, recordings.get(row.id, []), beside.get(row.id, NOTHING_BESIDE), sooner.get(row.id, []), now)
        for row in page
    ]


async def _whole(db: Db, sessions: Collection[UUID]) -> dict[UUID, tuple[Session, Study]]:
    """Those few of which more than their columns is asked."""
    both = select(Session, Study).join(Study, Study.id == Session.study_id).where(Session.id.in_(sessions))
    return {session.id: (session, study) for session, study in (await db.execute(both)).tuples()}


async def _sooner(db: Db, sessions: Mapping[UUID, tuple[Session, Study]], now: datetime) -> dict[UUID, list[datetime]]:
    """Dates of what goes before the rest of its recording, by session; of those only that say so."""
    held = select(Recording).where(Recording.session_id.in_(sessions), Recording.state.not_in(KEPT))
    rows = (await db.scalars(held)).all()
    kinds = await held_parts(db, [row.id for row in rows])
    found: dict[UUID, list[datetime]] = {}
    for row in rows:
        dates = parts_due(row, *sessions[row.session_id], kinds.get(row.id, frozenset()), now)
        found.setdefault(row.session_id, []).extend(dates.values())
    return found


async def _recordings(db: Db, page: Sequence[Columns]) -> dict[UUID, list[Columns]]:
    """Rows of _HELD by session."""
    of = {"sessions": [row.id for row in page], "going_on": [row.id for row in page if row.ended_at is None]}
    found: dict[UUID, list[Columns]] = {}
    for row in await db.execute(_HELD, of):
        found.setdefault(row.session_id, []).append(row)
    return found


def _line(
    row: Columns, recordings: Sequence[Columns], beside: Beside, sooner: Collection[datetime], now: datetime
) -> Line:
    facts = [(recording_facts(one, row), one.number) for one in recordings]
    dates = [due(one, row.study_days, now) for one, _ in facts] + [*beside.notes, *beside.answers]
    known = [one for one in dates if one is not None] + [*sooner]
    kinds = {*(TRACK_WORDS[kind] for kind in row.tracks or ()), *([TRANSCRIPT] if row.written else ())}
    return Line(
        session=row.id,
        title=row.title,
        study=row.study,
        study_id=row.study_id,
        since=min((one.created_at for one in recordings), default=row.ended_at or row.created_at),
        due=min(known, default=None),
        last_due=max(known, default=None) if None not in dates else None,
        people=row.people,
        recordings=sum(number for _, number in facts),
        notes=len(beside.notes),
        answers=len(beside.answers),
        kinds=tuple(word for word in (*TRACK_WORDS.values(), TRANSCRIPT) if word in kinds),
        held=sum(number for one, number in facts if is_held(one, now)),
        restricted=sum(number for one, number in facts if one.restricted_at is not None),
        going=sum(number for one, number in facts if one.hidden_at is not None),
        days=days_of(
            Kind.ALL, shortest(row.study_days, row.retention_days), row.study_periods or {}, row.periods or {}
        ),
    )


def _grouped(lines: Sequence[Line], now: datetime) -> tuple[Group, ...]:
    headings = [heading(line.due, now) for line in lines]
    return tuple(
        Group(
            heading=one,
            overdue=one == heading(now, now),
            lines=tuple(line for line, its in zip(lines, headings, strict=True) if its == one),
        )
        for one in Counter(headings)
    )
