"""Accounts that nobody owns: after a restore of a backup from before its present owner was added. The operator gives
one an owner, and that is in the account's log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, text

from app.accounts.members import change_role
from app.accounts.models import Account, Member, Role
from app.accounts.service import add_member
from app.audit import SYSTEM, Action, record
from app.database import Db, note, now_in
from app.errors import Conflict, NotThere
from app.ledger_entries import MemberIs
from app.sealed_columns import SealedColumns
from recordings.model import AccountId, PersonId


class HasOwner(Conflict):
    """This account has an owner, who adds others on the page Members."""


class NoSuchAccount(NotThere):
    """There is no open account of this id."""


async def ownerless(db: Db) -> Sequence[UUID]:
    """Open accounts without an owner, of the whole installation."""
    return list(await db.scalars(text("SELECT account_id FROM ownerless_accounts()")))


async def give_owner(db: Db, columns: SealedColumns, *, account: AccountId, name: str, email: str) -> PersonId:
    """A member with this address becomes the owner, or somebody new. The account of this transaction is set.
    Raises NoSuchAccount, HasOwner."""
    row = await db.get(Account, account, with_for_update=True)
    if row is None or row.closed_at is not None:
        raise NoSuchAccount
    here = Member.removed_at.is_(None)
    if await db.scalar(select(func.count()).where(Member.role == Role.OWNER, here)):
        raise HasOwner
    found = await db.scalar(select(Member.id).where(Member.email_index == columns.blind_index(account, email), here))
    if found is not None:
        await change_role(db, member=found, role=Role.OWNER)
        return PersonId(found)
    member = await add_member(db, columns, account=account, name=name, email=email, role=Role.OWNER)
    note(db, MemberIs(at=await now_in(db), account=account, member=member, role=Role.OWNER, gives=True))
    await record(
        db,
        account=account,
        actor=SYSTEM,
        action=Action.MEMBER_INVITED,
        subject=f"member:{member}",
        facts={"role": str(Role.OWNER)},
    )
    return member
