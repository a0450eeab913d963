"""The processing agreement (GDPR Art. 28(3)): the account decides, the platform records on its instructions. An owner
accepts the text of a date before anybody is invited or recorded, and again when the text has changed."""

from __future__ import annotations

from datetime import date

from sqlalchemy import func, select

from app.accounts.models import Account
from app.audit import Action, record
from app.database import Db
from app.errors import Forbidden
from recordings.model import AccountId, PersonId

AGREEMENT_DATED = date(2026, 11, 22)  # of templates/accounts/agreement_text.html; a test pins its wording


class AgreementNeeded(Forbidden):
    """Nobody can be invited or recorded yet: an owner of this account has to accept the processing agreement first. It
    stands on the page /agreement."""


async def account_row(db: Db) -> Account:
    """The account of this transaction."""
    return (await db.scalars(select(Account))).one()


async def agreement_stands(db: Db) -> bool:
    """Has the agreement of today been accepted?"""
    return await db.scalar(select(Account.agreement_dated)) == AGREEMENT_DATED


async def require_agreement(db: Db) -> None:
    """Raises AgreementNeeded."""
    if not await agreement_stands(db):
        raise AgreementNeeded


async def accept_agreement(db: Db, *, account: AccountId, by: PersonId) -> None:
    """An owner accepts it; accepting twice changes nothing."""
    row = await account_row(db)
    if row.agreement_dated == AGREEMENT_DATED:
        return
    row.agreement_accepted_at, row.agreement_dated, row.agreement_accepted_by = func.now(), AGREEMENT_DATED, by
    await db.flush()
    await record(
        db,
        account=account,
        actor=f"member:{by}",
        action=Action.AGREEMENT_ACCEPTED,
        subject=f"account:{account}",
        facts={"dated": AGREEMENT_DATED.isoformat()},
    )
