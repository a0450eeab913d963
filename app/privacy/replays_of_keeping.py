"""Holds, closed studies and how long is kept, done again from the ledger when the database was restored from before.

What the last word says counts, also where it keeps longer than the backup does: it is known that it was committed, and
else the first sweep after a restore would destroy what the owner chose to keep. Where that is not known the word does
not count (app.ledger.counts), so the shorter one stays. Each returns whether there was anything to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import update

from app.accounts.models import Account
from app.audit import SYSTEM, Action, record
from app.database import Db
from app.ledger_entries import KeptFor, RecordingHeld, StudyIs
from app.participants.models import Participant
from app.sessions.models import Recording, Session
from app.sessions.response_models import Response
from app.studies.clocks import Ending, Kind
from app.studies.models import Study
from app.studies.tallies import forget_tallies


async def hold_again(db: Db, entry: RecordingHeld) -> bool:
    """What it is about in words was sealed in the lost database: its owner writes it anew when they renew it."""
    row = await db.get(Recording, entry.recording, with_for_update=True)
    said = entry.reason, entry.until, entry.by
    if row is None or row.erased_at is not None or (row.held_reason, row.held_until, row.held_by) == said:
        return False
    row.held_reason, row.held_until, row.held_by = said
    row.held_words = None
    await record(
        db,
        account=entry.account,
        actor=SYSTEM,
        action=Action.RECORDING_HELD if entry.reason else Action.RECORDING_RELEASED,
        subject=f"recording:{row.id}",
        facts={"reason": entry.reason, "until": entry.until.isoformat() if entry.until else None},
    )
    return True


async def close_again(db: Db, entry: StudyIs) -> bool:
    row = await db.get(Study, entry.study, with_for_update=True)
    if row is None or (row.closed_at is not None) == entry.closed:
        return False
    row.closed_at = entry.at if entry.closed else None
    action = Action.STUDY_CLOSED if entry.closed else Action.STUDY_REOPENED
    await record(db, account=entry.account, actor=SYSTEM, action=action, subject=f"study:{row.id}")
    return True


async def keep_again(db: Db, entry: KeptFor) -> bool:
    """The row itself, not app.privacy.keeping: each level has a line of its own, in the order they were said."""
    if not await _LEVELS[entry.level](db, entry):
        return False
    level, said = ("account", "default_days") if entry.level == "default" else (entry.level, "after")
    await record(
        db,
        account=entry.account,
        actor=SYSTEM,
        action=Action.RETENTION_CHANGED,
        subject=f"{level}:{entry.subject}",
        facts={said: entry.days},
    )
    return True


async def _account(db: Db, entry: KeptFor) -> bool:
    row = await db.get_one(Account, entry.account, with_for_update=True)
    if (row.longest_retention_days, row.periods) == (entry.days, entry.periods):
        return False
    row.longest_retention_days, row.periods = entry.days, entry.periods
    return True


async def _default(db: Db, entry: KeptFor) -> bool:
    row = await db.get_one(Account, entry.account, with_for_update=True)
    if row.retention_days == entry.days:
        return False
    row.retention_days = entry.days
    return True


async def _study(db: Db, entry: KeptFor) -> bool:
    row = await db.get(Study, entry.subject, with_for_update=True)
    ending = entry.ending or (row.ending if row else "")
    if row is None or (row.retention_days, row.periods, row.ending) == (entry.days, entry.periods, ending):
        return False
    row.retention_days, row.periods, row.ending = entry.days, entry.periods, ending
    row.retention_version += 1
    if ending == Ending.ERASE:
        await forget_tallies(db, row.id)
    return True


async def _session(db: Db, entry: KeptFor) -> bool:
    row = await db.get(Session, entry.subject, with_for_update=True)
    if row is None or (row.retention_days, row.periods) == (entry.days, entry.periods):
        return False
    row.retention_days, row.periods = entry.days, entry.periods
    return True


async def _participant(db: Db, entry: KeptFor) -> bool:
    row = await db.get(Participant, entry.subject, with_for_update=True)
    own = entry.periods if entry.days is None else {**entry.periods, Kind.ALL: entry.days}
    if row is None or row.erased_at is not None or row.periods == own:
        return False
    row.periods = own
    await db.execute(update(Recording).where(Recording.person_id == row.id).values(periods=own))
    await db.execute(update(Response).where(Response.participant_id == row.id).values(periods=own))
    return True


_LEVELS: Mapping[str, Callable[[Db, KeptFor], Awaitable[bool]]] = {
    "account": _account,
    "default": _default,
    "study": _study,
    "session": _session,
    "participant": _participant,
}
