"""Names and addresses have a clock too: it counts from the last session somebody was invited to, and runs out only
once nothing else of them is kept. Then the person is erased: ids, dates and consents are left, without a name."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from app.accounts.models import Account
from app.audit import SYSTEM
from app.database import Db
from app.participants.models import Participant
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import ErasureReason
from recordings.model import AccountId, PersonId

ALL = 2**31 - 1


async def contacts_due(db: Db, now: datetime, days: int | None = None) -> set[UUID]:
    """Whose name and address are to go now in this account; days: if it kept them so long."""
    account = await db.scalar(select(Account.account_id))
    found = await db.execute(
        text("SELECT participant_id FROM due_contacts(:now, :limit, :days) WHERE account_id = :account"),
        {"now": now, "limit": ALL, "days": days, "account": account},
    )
    return {row.participant_id for row in found}


async def erase_contacts(db: Db, *, account: AccountId, people: Collection[UUID], now: datetime) -> int:
    """Of these people, ask for the erasure of those whose time has come. Returns how many. Safe to run twice."""
    locked = select(Participant.id).where(Participant.id.in_(people), Participant.erased_at.is_(None))
    ours = set(await db.scalars(locked.with_for_update(skip_locked=True)))
    still = sorted(ours & await contacts_due(db, now), key=str)
    for person in still:
        await ask_erasure(
            db,
            account=account,
            person=PersonId(person),
            reason=ErasureReason.RETENTION,
            asked_by=SYSTEM,
            instruction=f"retention policy of account {account}: names and addresses",
        )
    return len(still)
