"""Verbs of keeping: set how long an account, a study or a session keeps, having listed first what goes.

The shortest clock wins. An account's limit is held by writing it into its studies, so that a study always says
how long it keeps; lengthening it later revives nothing and lengthens no study by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, select, true

from app.accounts.models import Account
from app.audit import Action, record
from app.database import Db
from app.privacy.beside import NOTHING, beside_recordings, days_kept
from app.privacy.held_in_sql import KEPT
from app.sessions.models import Recording, Session
from app.sessions.policy import due, is_held
from app.sessions.service import find_session, recording_facts
from app.studies.clocks import Kind, Periods, shortest
from app.studies.models import Study
from app.studies.retention import require_within_limit, shortens
from app.studies.service import find_study
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Change:
    """How long is to be kept from now on: in one study, in one session, or (neither) at most in the account.
    days None: until somebody asks; for a session: as its study; for the account: without a limit."""

    days: int | None
    study: UUID | None = None
    session: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Going:
    """A session of which a change erases something at once."""

    session: UUID
    title: str
    study: str
    recordings: int
    people: int
    notes: int
    answers: int


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a change would do. at_once: erased within a minute of it; sooner: recordings that get an earlier date;
    kept: recordings a hold or a restriction keeps; seal: stands for exactly this list."""

    at_once: tuple[Going, ...]
    sooner: int
    kept: int
    seal: str

    @property
    def recordings(self) -> int:
        return sum(one.recordings for one in self.at_once)

    @property
    def notes(self) -> int:
        return sum(one.notes for one in self.at_once)

    @property
    def answers(self) -> int:
        return sum(one.answers for one in self.at_once)


async def preview(db: Db, change: Change, now: datetime) -> Preview:
    """Everything in reach of the change, by the rules that erase."""
    sessions = [
        (row[0], row[1])
        for row in await db.execute(
            select(Session, Study)
            .join(Study, Study.id == Session.study_id)
            .where(_in_reach(change))
            .order_by(Session.created_at, Session.id)
        )
    ]
    before = await beside_recordings(db, sessions, now, days_kept)
    after = await beside_recordings(db, sessions, now, partial(_days_after, change))
    recordings = await _recordings(db, [session.id for session, _ in sessions])
    sooner = kept = 0
    lines: list[Going] = []
    seal = hashlib.sha256()
    for session, study in sessions:
        going: list[Recording] = []
        for recording in recordings.get(session.id, ()):
            facts = recording_facts(recording, session)
            was = due(facts, study.retention_days, now)
            becomes = due(replace(facts, session_retention_days=None), _days_after(change, session, study), now)
            kept += is_held(facts, now) or facts.restricted_at is not None
            if _goes(was, becomes, now):
                going.append(recording)
            elif becomes is not None and (was is None or becomes < was):
                sooner += 1
        line = Going(
            session=session.id,
            title=session.title,
            study=study.title,
            recordings=len(going),
            people=len({one.person_id for one in going if not one.person_is_member}),
            notes=_count(before[session.id].notes, after[session.id].notes, now),
            answers=_count(before[session.id].answers, after[session.id].answers, now),
        )
        if line.recordings or line.notes or line.answers:
            lines.append(line)
            seal.update(repr((session.id, [one.id for one in going], line.notes, line.answers)).encode())
    return Preview(at_once=tuple(lines), sooner=sooner, kept=kept, seal=seal.hexdigest()[:32])


async def keep(db: Db, change: Change, *, account: AccountId, by: str) -> None:
    """The change takes effect; the sweep erases what is past its date. by: as audit names it.
    Raises NotThere, and KeptTooLong above the account's limit."""
    if change.study is not None or (change.session is not None and change.days is not None):
        await require_within_limit(db, account, change.days)
    if change.session is not None:
        session = await find_session(db, change.session)
        before, session.retention_days = session.retention_days, change.days
        await _record(db, account, by, f"session:{session.id}", before, change.days)
    elif change.study is not None:
        await _keep_study(db, await find_study(db, change.study), change.days, account, by)
    else:
        row = await db.get_one(Account, account, with_for_update=True)
        before, row.longest_retention_days = row.longest_retention_days, change.days
        await _record(db, account, by, f"account:{account}", before, change.days)
        for study in (await db.scalars(select(Study).with_for_update())).all() if change.days is not None else ():
            if shortens(study.retention_days, change.days):
                await _keep_study(db, study, change.days, account, by)
        row.retention_days = shortest(row.retention_days, change.days)
    await db.flush()


async def days_now(db: Db, change: Change, account: AccountId) -> int | None:
    """What stands before the change. Raises NotThere."""
    if change.session is not None:
        session = await find_session(db, change.session)
        return shortest(session.retention_days, (await find_study(db, session.study_id)).retention_days)
    if change.study is not None:
        return (await find_study(db, change.study)).retention_days
    return (await db.get_one(Account, account)).longest_retention_days


async def _keep_study(db: Db, study: Study, days: int | None, account: AccountId, by: str) -> None:
    if study.retention_days == days:
        return
    before, study.retention_days = study.retention_days, days
    study.retention_version += 1
    await _record(db, account, by, f"study:{study.id}", before, days)


async def _record(db: Db, account: AccountId, by: str, subject: str, before: int | None, after: int | None) -> None:
    facts = {"before": before, "after": after}
    await record(db, account=account, actor=by, action=Action.RETENTION_CHANGED, subject=subject, facts=facts)


def _in_reach(change: Change) -> ColumnElement[bool]:
    if change.session is not None:
        return Session.id == change.session
    return true() if change.study is None else Study.id == change.study


def _days_after(
    change: Change, session: Session, study: Study, kind: Kind = Kind.ALL, own: Periods = NOTHING
) -> int | None:
    """How long this session would be kept."""
    if change.session is not None:
        return shortest(study.retention_days, change.days)
    if change.study is not None:
        return shortest(change.days, session.retention_days)
    return shortest(study.retention_days, session.retention_days, change.days)


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
