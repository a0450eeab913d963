"""Verbs of keeping: set how long an account, a study or a session keeps, having listed first what goes.

The shortest clock wins. An account's limit is held by writing it into its studies, so that a study always says
how long it keeps; lengthening it later revives nothing and lengthens no study by itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, true

from app.accounts.models import Account
from app.audit import Action, record
from app.database import Db
from app.privacy.due_in_sql import KEPT
from app.sessions.models import Note, Recording, Session
from app.sessions.policy import RecordingFacts, due, is_held, shortest
from app.sessions.service import find_session, recording_facts
from app.studies.models import Study
from app.studies.retention import shortens
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


async def preview(db: Db, change: Change, now: datetime) -> Preview:
    """Every recording in reach of the change, by the same rule that erases (sessions.policy.due)."""
    rows = (
        await db.execute(
            select(Recording, Session, Study)
            .join(Session, Session.id == Recording.session_id)
            .join(Study, Study.id == Session.study_id)
            .where(_in_reach(change), Recording.state.not_in(KEPT))
            .order_by(Session.created_at, Session.id, Recording.id)
        )
    ).all()
    sooner = kept = 0
    going: dict[UUID, list[Recording]] = {}
    titles: dict[UUID, tuple[str, str]] = {}
    for recording, session, study in rows:
        facts = recording_facts(recording, session)
        before = due(facts, study.retention_days, now)
        facts, days = _changed(change, facts, study)
        after = due(facts, days, now)
        kept += is_held(facts, now) or facts.restricted_at is not None
        if after is not None and after <= now and not (before is not None and before <= now):
            going.setdefault(session.id, []).append(recording)
            titles[session.id] = (session.title, study.title)
        elif after is not None and (before is None or after < before):
            sooner += 1
    notes = await _notes(db, list(going))
    lines = tuple(
        Going(
            session=session,
            title=titles[session][0],
            study=titles[session][1],
            recordings=len(recordings),
            people=len({one.person_id for one in recordings if not one.person_is_member}),
            notes=notes.get(session, 0),
        )
        for session, recordings in going.items()
    )
    ids = sorted(one.id.bytes for recordings in going.values() for one in recordings)
    return Preview(at_once=lines, sooner=sooner, kept=kept, seal=hashlib.sha256(b"".join(ids)).hexdigest()[:32])


async def keep(db: Db, change: Change, *, account: AccountId, by: str) -> None:
    """The change takes effect; the sweep erases what is past its date. by: as audit names it. Raises NotThere."""
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


def _changed(change: Change, facts: RecordingFacts, study: Study) -> tuple[RecordingFacts, int | None]:
    """The facts and the study's days as they would stand."""
    if change.session is not None:
        return replace(facts, session_retention_days=change.days), study.retention_days
    if change.study is not None:
        return facts, change.days
    return facts, shortest(study.retention_days, change.days)


async def _notes(db: Db, sessions: list[UUID]) -> dict[UUID, int]:
    counted = select(Note.session_id, func.count()).where(Note.session_id.in_(sessions)).group_by(Note.session_id)
    return {row[0]: row[1] for row in await db.execute(counted)}
