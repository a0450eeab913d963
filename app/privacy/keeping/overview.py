"""What will be erased when, session by session: the first to go first, nothing left out.

Names of people are not read here: sessions, dates, counts and kinds are enough to decide by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Account
from app.database import Columns, Db
from app.privacy.erasing.policy import TRANSCRIPT
from app.privacy.keeping.axis import Span
from app.privacy.keeping.beside import NOTHING_BESIDE, Beside, as_kept, beside_recordings
from app.privacy.keeping.held_in_sql import KEPT
from app.privacy.keeping.overview_in_sql import HELD, IN_ORDER, OF_ALL
from app.sessions.listing import TRACK_WORDS
from app.sessions.models import Recording, Session
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import due, is_held
from app.sessions.service import recording_facts
from app.studies.clocks import Kind, days_of, idle_days, shortest
from app.studies.models import Study
from recordings.model import AccountId

DAYS_ONE_BY_ONE = timedelta(days=7)
WEEKS_ONE_BY_ONE = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One session of which something is held. due: the first of its dates, None: not by itself; kinds: in words;
    going: recordings whose erasure was asked for already; days: how long it is kept, None: not by its session;
    since: when the first of it was recorded or written."""

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
    known = (await db.execute(OF_ALL, {"account_id": account, "now": now})).one()
    page = (await db.execute(IN_ORDER, {"rows": limit + 1, "skipped": offset})).all()
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


async def _lines(db: Db, page: Sequence[Columns], now: datetime) -> list[Line]:
    """page: rows of IN_ORDER."""
    recordings = await _recordings(db, page)
    noted = {row.id for row in page if row.more}
    parts = {
        row.id
        for row in page
        if row.study_periods or row.periods or any(one.periods for one in recordings.get(row.id, ()))
    }
    whole = await _whole(db, noted | parts) if noted or parts else {}
    beside = await beside_recordings(db, [whole[one] for one in whole if one in noted], now, as_kept) if noted else {}
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
    """Rows of HELD by session."""
    of = {
        "sessions": [row.id for row in page],
        "going_on": [row.id for row in page if row.ended_at is None],
        "idle": [row.id for row in page if idle_days(row.study_periods or {}, row.periods or {}) is not None],
    }
    found: dict[UUID, list[Columns]] = {}
    for row in await db.execute(HELD, of):
        found.setdefault(row.session_id, []).append(row)
    return found


def _line(
    row: Columns, recordings: Sequence[Columns], beside: Beside, sooner: Collection[datetime], now: datetime
) -> Line:
    facts = [(recording_facts(one, row), one.number) for one in recordings]
    dates = [due(one, row.study_days, now) for one, _ in facts] + [*beside.notes, *beside.answers]
    known = [one for one in dates if one is not None] + [*sooner]
    levels = row.study_periods or {}, row.periods or {}
    days = days_of(Kind.ALL, shortest(row.study_days, row.retention_days), *levels)
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
        days=days if idle_days(*levels) is None else None,
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
