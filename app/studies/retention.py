"""How long a study may keep, and what its form does with a shorter time."""

from __future__ import annotations

from dataclasses import dataclass

from app.accounts.models import Account
from app.database import Db
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of an account, in days. default: of a new study, None: until asked; longest: no study keeps longer."""

    default: int | None
    longest: int | None


def shortens(before: int | None, after: int | None) -> bool:
    """Does something go earlier than before? Then it is listed first, and takes effect with a second press
    (app.privacy.keeping)."""
    return after is not None and (before is None or after < before)


async def limits_of(db: Db, account: AccountId) -> Limits:
    row = await db.get_one(Account, account)
    return Limits(default=row.retention_days, longest=row.longest_retention_days)
