"""What a change of how long is kept would erase, listed exactly, by the rules that erase."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, true

from app.database import Db
from app.privacy.keeping.beside import as_kept, beside_recordings
from app.privacy.keeping.contacts import contacts_due
from app.privacy.keeping.held_in_sql import KEPT
from app.privacy.keeping.keeping import Change
from app.sessions.activity import Taken, last_active
from app.sessions.models import Recording, Session
from app.sessions.parts import held_parts
from app.sessions.policy import after_last, due, is_held
from app.sessions.response_models import Response
from app.sessions.service import recording_facts
from app.studies.clocks import PARTS, Ending, Kind
from app.studies.models import Study


@dataclass(frozen=True, kw_only=True)
class Going:
    """A session of which a change erases something at once. parts: of how many recordings only a kind goes."""

    session: UUID
    title: str
    study: str
    recordings: int
    people: int
    notes: int
    answers: int
    parts: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a change would do. at_once: erased within a minute of it; sooner: recordings that get an earlier date, or
    a part of them does; kept: recordings a hold or a restriction keeps; contacts: people whose name and address go at
    once; seal: stands for exactly this list; counted: of how many answers the choices are counted and stay."""

    at_once: tuple[Going, ...]
    sooner: int
    kept: int
    seal: str
    contacts: int = 0
    counted: int = 0

    @property
    def recordings(self) -> int:
        return sum(one.recordings for one in self.at_once)

    @property
    def notes(self) -> int:
        return sum(one.notes for one in self.at_once)

    @property
    def answers(self) -> int:
        return sum(one.answers for one in self.at_once)

    @property
    def parts(self) -> Mapping[Kind, int]:
        total = sum((Counter(one.parts) for one in self.at_once), Counter[Kind]())
        return {kind: total[kind] for kind in PARTS if total[kind]}


async def preview(db: Db, change: Change, now: datetime) -> Preview:
    """Everything in reach of the change."""
    sessions = [
        (row[0], row[1])
        for row in await db.execute(
            select(Session, Study)
            .join(Study, Study.id == Session.study_id)
            .where(_in_reach(change))
            .order_by(Session.created_at, Session.id)
        )
    ]
    before = await beside_recordings(db, sessions, now, as_kept)
    after = await beside_recordings(db, sessions, now, change.kept_after)
    recordings = await _recordings(db, [session.id for session, _ in sessions])
    held = await held_parts(db, [row.id for rows in recordings.values() for row in rows])
    active = await _last_active(db, change, sessions, recordings)
    sooner = kept = counted = 0
    lines: list[Going] = []
    seal = hashlib.sha256()
    for session, study in sessions:
        going: list[Recording] = []
        parts: list[tuple[UUID, Kind]] = []
        for row in recordings.get(session.id, ()):
            facts = recording_facts(row, session)
            kept += is_held(facts, now) or facts.restricted_at is not None
            at = active.get(_taken(row))
            dates = _dates(change, row, session, study, now, held.get(row.id, frozenset()), at)
            if _goes(*dates[Kind.ALL], now):
                going.append(row)
                continue
            mine = [kind for kind in PARTS if kind in dates and _goes(*dates[kind], now)]
            parts += [(row.id, kind) for kind in mine]
            sooner += not mine and any(becomes and (was is None or becomes < was) for was, becomes in dates.values())
        line = Going(
            session=session.id,
            title=session.title,
            study=study.title,
            recordings=len(going),
            people=len({one.person_id for one in going if not one.person_is_member}),
            notes=_count(before[session.id].notes, after[session.id].notes, now),
            answers=_count(before[session.id].answers, after[session.id].answers, now),
            parts=Counter(kind for _, kind in parts),
        )
        if (change.ending or study.ending) == Ending.ANONYMISE:  # only a change of a study says something else
            counted += line.answers
        if line.recordings or line.notes or line.answers or line.parts:
            lines.append(line)
            seal.update(repr((session.id, [one.id for one in going], parts, line.notes, line.answers)).encode())
    contacts: set[UUID] = set()
    if change.of_account and Kind.CONTACT in change.periods:
        contacts = await contacts_due(db, now, change.periods[Kind.CONTACT]) - await contacts_due(db, now)
        seal.update(repr(sorted(map(str, contacts))).encode())
    return Preview(
        at_once=tuple(lines),
        sooner=sooner,
        kept=kept,
        seal=seal.hexdigest()[:32],
        contacts=len(contacts),
        counted=counted,
    )


def _dates(
    change: Change,
    row: Recording,
    session: Session,
    study: Study,
    now: datetime,
    held: Collection[Kind],
    active: datetime | None,
) -> dict[Kind, tuple[datetime | None, datetime | None]]:
    """When the whole and each kind of it goes, without the change and with it. active: when its person was last."""
    facts = replace(recording_facts(row, session), session_retention_days=None, person_retention_days=None)
    found = {}
    for kind in (Kind.ALL, *held):
        after = change.kept_after(session, study, kind, row)
        idle_until = after_last(session.ended_at or row.created_at, active, after.idle)
        was = due(facts, as_kept(session, study, kind, row).days, now)
        found[kind] = was, due(replace(facts, idle_until=idle_until), after.days, now)
    return found


async def _last_active(
    db: Db, change: Change, sessions: Sequence[tuple[Session, Study]], recordings: Mapping[UUID, Sequence[Recording]]
) -> dict[Taken, datetime]:
    """Of whom something would count from it."""
    return await last_active(
        db,
        [
            _taken(row)
            for session, study in sessions
            for row in recordings.get(session.id, ())
            if change.kept_after(session, study, Kind.ALL, row).idle is not None
        ],
    )


def _taken(row: Recording) -> Taken:
    return row.session_id, None if row.person_is_member else row.person_id


def _in_reach(change: Change) -> ColumnElement[bool]:
    if change.session is not None:
        return Session.id == change.session
    if change.participant is not None:
        recorded = select(Recording.session_id).where(Recording.person_id == change.participant)
        answered = select(Response.session_id).where(Response.participant_id == change.participant)
        return or_(Session.id.in_(recorded), Session.id.in_(answered))
    return true() if change.study is None else Study.id == change.study


def _goes(was: datetime | None, becomes: datetime | None, now: datetime) -> bool:
    """Past its date with the change, and not without it."""
    return becomes is not None and becomes <= now and not (was is not None and was <= now)


def _count(before: Sequence[datetime | None], after: Sequence[datetime | None], now: datetime) -> int:
    return sum(_goes(was, becomes, now) for was, becomes in zip(before, after, strict=True))


async def _recordings(db: Db, sessions: Collection[UUID]) -> dict[UUID, list[Recording]]:
    found: dict[UUID, list[Recording]] = {}
    rows = select(Recording).where(Recording.session_id.in_(sessions), Recording.state.not_in(KEPT))
    for row in await db.scalars(rows.order_by(Recording.id)):
        found.setdefault(row.session_id, []).append(row)
    return found
