"""Verbs of keeping: how long an account, a study, a session or one participant keeps, and which kinds go earlier.

The shortest clock wins (studies.clocks). An account's limit is held by writing it into its studies, and a
participant's into what is theirs, so that each row says how long it is kept; lengthening it later revives nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from app.accounts.models import Account
from app.audit import Action, record
from app.database import Db, note, now_in
from app.errors import NotThere
from app.ledger_entries import KeptFor
from app.participants.models import Participant
from app.sessions.models import Recording, Session
from app.sessions.response_models import Response
from app.sessions.service import find_session
from app.studies.clocks import Ending, Kept, Kind, Level, Periods, anything_shorter, kept_by, shortest, shortest_of
from app.studies.models import Study
from app.studies.retention import limit_of_kinds, require_within_limit
from app.studies.service import find_study
from app.studies.tallies import forget_tallies
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Change:
    """How long is to be kept from now on: in one study, in one session, of one participant, or (none of them) at most
    in the account. days None: until somebody asks; for a session and a participant: as the rest; for the account:
    without a limit. periods: kinds that go earlier, and IDLE: days of everything after the last activity.
    ending: of a study, what its answers come to (clocks.OFFERED); None: as it is."""

    days: int | None
    study: UUID | None = None
    session: UUID | None = None
    participant: UUID | None = None
    periods: Periods = field(default_factory=dict)
    ending: str | None = None

    @property
    def of_account(self) -> bool:
        return self.study is None and self.session is None and self.participant is None

    @property
    def level(self) -> Level:
        return Level(days=self.days, periods=self.periods)

    @property
    def own(self) -> dict[str, int]:
        """Of a participant: what stands in the rows that are theirs."""
        return {**self.periods} if self.days is None else {**self.periods, Kind.ALL: self.days}

    def kept_after(
        self, session: Session, study: Study, kind: Kind = Kind.ALL, row: Recording | Response | None = None
    ) -> Kept:
        """How long this kind would be kept of a session. row: None: what is nobody's own."""
        own = row.periods if row is not None else {}
        if self.study is not None:
            days = shortest(self.days, session.retention_days)
            return kept_by(kind, days, self.periods, session.periods, own)
        if self.session is not None:
            return kept_by(kind, shortest(study.retention_days, self.days), study.periods, self.periods, own)
        days = shortest(study.retention_days, session.retention_days)
        if self.participant is not None:
            mine = row is not None and _person(row) == self.participant
            return kept_by(kind, days, study.periods, session.periods, self.own if mine else own)
        return kept_by(kind, shortest(days, self.days), study.periods, session.periods, own, self.periods)


def _person(row: Recording | Response) -> UUID:
    return row.person_id if isinstance(row, Recording) else row.participant_id


async def stands(db: Db, change: Change, account: AccountId) -> Level:
    """What counts before the change: of a session with its study's. Raises NotThere."""
    if change.session is not None:
        session = await find_session(db, change.session)
        study = await find_study(db, session.study_id)
        days = shortest(session.retention_days, study.retention_days)
        return Level(days=days, periods=shortest_of(session.periods, study.periods))
    if change.study is not None:
        study = await find_study(db, change.study)
        return Level(days=study.retention_days, periods=study.periods)
    if change.participant is not None:
        own = (await find_participant(db, change.participant)).periods
        kinds = {kind: days for kind, days in own.items() if kind != Kind.ALL}
        return Level(days=own.get(Kind.ALL), periods=kinds)
    row = await db.get_one(Account, account)
    return Level(days=row.longest_retention_days, periods=row.periods)


async def keep(db: Db, change: Change, *, account: AccountId, by: str) -> None:
    """The change takes effect; the sweep erases what is past its date. by: as audit names it.
    Raises NotThere, and KeptTooLong above the account's limit."""
    if change.study is not None or (change.session is not None and change.days is not None):
        await require_within_limit(db, account, change.days)
    if change.session is not None:
        session = await find_session(db, change.session)
        before = _facts(session.retention_days, session.periods)
        session.retention_days, session.periods = change.days, dict(change.periods)
        await _record(db, account, by, f"session:{session.id}", before, change)
    elif change.study is not None:
        row = await find_study(db, change.study)
        await _keep_study(db, row, change.level, account, by, ending=change.ending or row.ending)
    elif change.participant is not None:
        await _keep_participant(db, change, account, by)
    else:
        await _keep_account(db, change, account, by)
    await db.flush()


async def find_participant(db: Db, participant: UUID, *, locked: bool = False) -> Participant:
    """Raises NotThere, also for who was erased."""
    row = await db.get(Participant, participant, with_for_update=True if locked else None)
    if row is None or row.erased_at is not None:
        raise NotThere
    return row


async def _keep_account(db: Db, change: Change, account: AccountId, by: str) -> None:
    row = await db.get_one(Account, account, with_for_update=True)
    before = _facts(row.longest_retention_days, row.periods)
    row.longest_retention_days, row.periods = change.days, dict(change.periods)
    await _record(db, account, by, f"account:{account}", before, change)
    limit = Level(days=change.days, periods=await limit_of_kinds(db, account))
    for study in (await db.scalars(select(Study).with_for_update())).all():
        now = Level(days=study.retention_days, periods=study.periods)
        then = Level(days=shortest(now.days, limit.days), periods=shortest_of(now.periods, limit.periods))
        if anything_shorter(now, then):
            await _keep_study(db, study, then, account, by)
    await _default(db, row, shortest(row.retention_days, change.days))


async def keep_default(db: Db, account: AccountId, days: int | None, *, by: str) -> None:
    """How long a new study keeps, unless it says otherwise. The caller has asked that no limit is passed."""
    await _default(db, await db.get_one(Account, account, with_for_update=True), days)
    facts = {"default_days": days}
    subject = f"account:{account}"
    await record(db, account=account, actor=by, action=Action.RETENTION_CHANGED, subject=subject, facts=facts)


async def _default(db: Db, row: Account, days: int | None) -> None:
    """Called with the account locked."""
    if days == row.retention_days:
        return
    account, longer = row.account_id, shortest(row.retention_days, days) == row.retention_days
    row.retention_days = days
    at = await now_in(db)
    note(db, KeptFor(at=at, account=account, level="default", subject=account, days=days, periods={}, gives=longer))


async def _keep_study(
    db: Db, study: Study, level: Level, account: AccountId, by: str, *, ending: str | None = None
) -> None:
    periods = shortest_of(level.periods, await limit_of_kinds(db, account))
    ending = ending or study.ending
    if (study.retention_days, study.periods, study.ending) == (level.days, periods, ending):
        return
    before = _facts(study.retention_days, study.periods) | {"ending": study.ending}
    study.retention_days, study.periods, study.ending = level.days, periods, ending
    study.retention_version += 1
    if ending == Ending.ERASE:
        await forget_tallies(db, study.id)
    await _record(db, account, by, f"study:{study.id}", before, Change(days=level.days, periods=periods, ending=ending))


async def _keep_participant(db: Db, change: Change, account: AccountId, by: str) -> None:
    """What is recorded or answered from now on takes it from the participant (sessions.service)."""
    assert change.participant is not None
    row = await find_participant(db, change.participant, locked=True)
    before, row.periods = dict(row.periods), change.own
    await db.flush()
    await db.execute(update(Recording).where(Recording.person_id == row.id).values(periods=change.own))
    await db.execute(update(Response).where(Response.participant_id == row.id).values(periods=change.own))
    own = before.pop(Kind.ALL, None)
    await _record(db, account, by, f"participant:{row.id}", _facts(own, before), change)


def _facts(days: int | None, periods: Periods) -> dict[str, Any]:
    return {"days": days, "kinds": dict(periods)}


async def _record(db: Db, account: AccountId, by: str, subject: str, before: Mapping[str, Any], change: Change) -> None:
    """Days as they were and are; kinds only where one has or had days of its own, what answers come to where that
    changed. The ledger knows it too."""
    level, _, of = subject.partition(":")
    was = Level(days=before["days"], periods=before["kinds"])
    kept = KeptFor(
        at=await now_in(db),
        account=account,
        level=level,
        subject=UUID(of),
        days=change.days,
        periods=dict(change.periods),
        ending=change.ending,
        gives=anything_shorter(change.level, was),
    )
    note(db, kept)
    facts: dict[str, Any] = {"before": before["days"], "after": change.days}
    if before["kinds"] or change.periods:
        facts |= {"kinds_before": before["kinds"], "kinds_after": dict(change.periods)}
    if change.ending and change.ending != before["ending"]:
        facts["ending"] = str(change.ending)
    await record(db, account=account, actor=by, action=Action.RETENTION_CHANGED, subject=subject, facts=facts)
