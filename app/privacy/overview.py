"""What will be erased when, session by session: the first to go first, nothing left out.

Names of people are not read here: sessions, dates, counts and kinds are enough to decide by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import load_only

from app.database import Db
from app.privacy.axis import Span
from app.privacy.beside import Beside, beside_recordings, days_kept
from app.privacy.held_in_sql import KEPT
from app.privacy.models import SessionDue
from app.privacy.policy import TRANSCRIPT
from app.sessions.listing import TRACK_WORDS
from app.sessions.models import Recording, Session, Track, Transcript, TranscriptState
from app.sessions.policy import due, is_held
from app.sessions.service import recording_facts
from app.studies.models import Study

DAYS_ONE_BY_ONE = timedelta(days=7)
WEEKS_ONE_BY_ONE = timedelta(days=30)
_LOOKED_AT = (
    Recording.session_id,
    Recording.person_id,
    Recording.person_is_member,
    Recording.state,
    Recording.index_key,
    Recording.created_at,
    Recording.held_reason,
    Recording.held_until,
    Recording.restricted_at,
    Recording.hidden_at,
    Recording.erased_at,
    Recording.periods,
)
"""Of recordings, hundreds on a page: what their dates follow from."""


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
    """One page of it, and what is true of all pages. next_due: the next date to come."""

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


async def overview(db: Db, now: datetime, *, limit: int, offset: int) -> Overview:
    """Ordered by the first date, then by session; what has no date stands last."""
    first = SessionDue.due
    all_pages = await db.execute(
        select(
            func.count().label("sessions"),
            func.count().filter(first <= now).label("overdue"),
            func.count().filter(first.is_(None)).label("without_date"),
            func.min(first).filter(first > now).label("next_due"),
        ).select_from(SessionDue)
    )
    known = all_pages.one()
    in_order = select(SessionDue.session_id).order_by(first, SessionDue.session_id)  # NULL stands last
    ids = (await db.scalars(in_order.limit(limit + 1).offset(offset))).all()
    lines = await _lines(db, await _sessions(db, ids[:limit]), now)
    return Overview(
        groups=_grouped(lines, now),
        sessions=known.sessions,
        overdue=known.overdue,
        without_date=known.without_date,
        next_due=known.next_due,
        more=len(ids) > limit,
    )


async def _sessions(db: Db, ids: Sequence[UUID]) -> list[tuple[Session, Study]]:
    """In the order of `ids`."""
    rows = await db.execute(select(Session, Study).join(Study, Study.id == Session.study_id).where(Session.id.in_(ids)))
    by_id = {session.id: (session, study) for session, study in rows}
    return [by_id[one] for one in ids]


async def _lines(db: Db, page: Sequence[tuple[Session, Study]], now: datetime) -> list[Line]:
    ids = [session.id for session, _ in page]
    recordings: dict[UUID, list[Recording]] = {}
    held = select(Recording).where(Recording.session_id.in_(ids), Recording.state.not_in(KEPT))
    for row in await db.scalars(held.options(load_only(*_LOOKED_AT)).order_by(Recording.id)):
        recordings.setdefault(row.session_id, []).append(row)
    kinds = await _kinds(db, ids)
    beside = await beside_recordings(db, page, now, days_kept)
    return [
        _line(session, study, recordings.get(session.id, []), beside[session.id], kinds.get(session.id, set()), now)
        for session, study in page
    ]


def _line(
    session: Session,
    study: Study,
    recordings: Collection[Recording],
    beside: Beside,
    kinds: Collection[str],
    now: datetime,
) -> Line:
    facts = [recording_facts(row, session) for row in recordings]
    dates = [due(one, study.retention_days, now) for one in facts] + [*beside.notes, *beside.answers]
    known = [one for one in dates if one is not None]
    return Line(
        session=session.id,
        title=session.title,
        study=study.title,
        study_id=study.id,
        since=min((row.created_at for row in recordings), default=session.ended_at or session.created_at),
        due=min(known, default=None),
        last_due=max(known, default=None) if len(known) == len(dates) else None,
        people=len({row.person_id for row in recordings if not row.person_is_member}),
        recordings=len(recordings),
        notes=len(beside.notes),
        answers=len(beside.answers),
        kinds=tuple(word for word in (*TRACK_WORDS.values(), TRANSCRIPT) if word in kinds),
        held=sum(is_held(one, now) for one in facts),
        restricted=sum(one.restricted_at is not None for one in facts),
        going=sum(one.hidden_at is not None for one in facts),
        days=days_kept(session, study),
    )


async def _kinds(db: Db, sessions: Collection[UUID]) -> dict[UUID, set[str]]:
    """What is held of each session, in words."""
    of_session = select(Recording.session_id).where(Recording.session_id.in_(sessions), Recording.state.not_in(KEPT))
    found: dict[UUID, set[str]] = {}
    tracks = of_session.add_columns(Track.kind).join(Track, Track.recording_id == Recording.id)
    for session, kind in await db.execute(tracks.where(Track.erased_at.is_(None)).distinct()):
        found.setdefault(session, set()).add(TRACK_WORDS[kind])
    written = of_session.join(Transcript, Transcript.recording_id == Recording.id)
    for session in await db.scalars(written.where(Transcript.state == TranscriptState.READY).distinct()):
        found.setdefault(session, set()).add(TRANSCRIPT)
    return found


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
