"""How long a study may keep: never longer than its account; and what its form does with a shorter time."""

from __future__ import annotations

from dataclasses import dataclass

from app.accounts.models import Account
from app.database import Db
from app.errors import BadInput
from app.language import _
from app.studies.clocks import IDLE, OF_A_SESSION
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of an account, in days. default: of a new study, None: until asked; longest: no study keeps longer."""

    default: int | None
    longest: int | None


def shortens(before: int | None, after: int | None) -> bool:
    """Does something go earlier than before? Then it is listed first, and takes effect with a second press
    (app.privacy.keeping.keeping)."""
    return after is not None and (before is None or after < before)


class KeptTooLong(BadInput):
    """Your account keeps nothing as long as that."""


def exceeds(days: int | None, longest: int | None) -> bool:
    """May a study not keep this long? days None: until asked, which exceeds every limit; longest None: no limit."""
    return longest is not None and (days is None or days > longest)


def too_long(longest: int | None) -> str:
    return _("Your account keeps nothing longer than %(days)s days.", days=longest)


async def require_within_limit(db: Db, account: AccountId, days: int | None) -> None:
    """The account's limit waits until this transaction is over, so that none slips by. Raises KeptTooLong."""
    longest = (await db.get_one(Account, account, with_for_update={"read": True})).longest_retention_days
    if exceeds(days, longest):
        raise KeptTooLong(too_long(longest))


async def limit_of_kinds(db: Db, account: AccountId) -> dict[str, int]:
    """What no study of the account keeps longer: kinds, and everything after the last activity; in days."""
    periods = (await db.get_one(Account, account)).periods
    return {kind: days for kind, days in periods.items() if kind in (*OF_A_SESSION, IDLE)}


async def limits_of(db: Db, account: AccountId) -> Limits:
    row = await db.get_one(Account, account)
    return Limits(default=row.retention_days, longest=row.longest_retention_days)
