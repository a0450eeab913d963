"""Verbs of an account's members: list, invite, change role, remove. An account always keeps one owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select

from app.accounts.login import end_logins_of
from app.accounts.models import Account, Assignment, Member, Passkey, Role, SignInAddress, SignInLink
from app.accounts.policy import gives_more, may_stop_being
from app.accounts.service import EMAIL_FIELD, NAME_FIELD, add_member
from app.audit import SYSTEM, Action, record
from app.database import Db, note, now_in
from app.errors import Conflict, NotThere
from app.ledger_entries import Assigned, MemberIs, PasskeyRemoved
from app.mail.service import queue
from app.sealed_columns import SealedColumns
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


class LastOwner(Conflict):
    """An account always has an owner."""


@dataclass(frozen=True, kw_only=True)
class MemberLine:
    """A member as the owner's pages show one."""

    id: PersonId
    name: str
    email: str
    role: Role
    since: datetime


async def members(db: Db, columns: SealedColumns) -> list[MemberLine]:
    """The account's members, in the order of joining."""
    found = await db.scalars(select(Member).where(Member.removed_at.is_(None)).order_by(Member.created_at, Member.id))
    return [_line(columns, row) for row in found]


async def find_member(db: Db, columns: SealedColumns, member: UUID) -> MemberLine:
    """Raises NotThere, for somebody removed too."""
    return _line(columns, await _row(db, member))


async def invite_member(
    db: Db, wiring: Wiring, *, account: AccountId, name: str, email: str, role: Role, by: PersonId
) -> PersonId:
    """Add a member and tell them by mail where to sign in. Raises AlreadyMember."""
    columns = wiring.columns
    await _one_at_a_time(db)
    member = await add_member(db, columns, account=account, name=name, email=email, role=role)
    await _tell_ledger(db, account, member, role, gives=True)
    inviting = await db.get_one(Member, by)
    await queue(
        db,
        columns,
        settings=wiring.settings,
        account=account,
        person=member,
        template="member_added",
        key=f"member-added-{uuid4()}",
        optional=False,
        context={
            "account_name": (await db.get_one(Account, account)).name,
            "by_name": columns.open(account, by, NAME_FIELD, inviting.name),
            "role": role,
            "email": email,
            "link": f"{wiring.settings.public_url.rstrip('/')}/sign-in",
        },
        to_name=name,
        to_email=email,
    )
    await record(
        db,
        account=account,
        actor=f"member:{by}",
        action=Action.MEMBER_INVITED,
        subject=f"member:{member}",
        facts={"role": str(role)},
    )
    return member


async def change_role(db: Db, *, member: UUID, role: Role, by: str = SYSTEM) -> None:
    """From the next request on they are of this role. Raises NotThere, LastOwner."""
    owners = await _owners(db)
    row = await _row(db, member, lock=True)
    if row.role == role:
        return
    _keep_an_owner(row, owners)
    await _tell_ledger(db, row.account_id, row.id, role, gives=gives_more(Role(row.role), role))
    row.role = role
    await record(
        db,
        account=row.account_id,
        actor=by,
        action=Action.MEMBER_ROLE_CHANGED,
        subject=f"member:{member}",
        facts={"role": str(role)},
    )


async def remove_member(db: Db, *, member: UUID, by: str = SYSTEM) -> None:
    """They are signed out everywhere at once and no link or passkey signs them in again; their name stays beside
    what they did. Raises NotThere, LastOwner."""
    owners = await _owners(db)
    row = await _row(db, member, lock=True)
    _keep_an_owner(row, owners)
    await _tell_ledger(db, row.account_id, row.id, None)
    mine = select(Passkey.id).where(Passkey.member_id == row.id)
    for passkey in await db.scalars(mine):  # said of each: who is added again is a member by the last word on them
        note(db, PasskeyRemoved(at=await now_in(db), account=row.account_id, passkey=passkey))
    for session in await db.scalars(select(Assignment.session_id).where(Assignment.member_id == row.id)):
        ended = Assigned(at=await now_in(db), account=row.account_id, session=session, member=row.id, assigned=False)
        note(db, ended)
    await shut_out(db, row)
    await record(db, account=row.account_id, actor=by, action=Action.MEMBER_REMOVED, subject=f"member:{member}")


async def shut_out(db: Db, row: Member) -> None:
    """Whatever brought this person in ends with this transaction."""
    row.removed_at = await now_in(db)
    await end_logins_of(db, person=PersonId(row.id))
    await db.execute(delete(SignInLink).where(SignInLink.member_id == row.id))
    await db.execute(delete(Passkey).where(Passkey.member_id == row.id))
    await db.execute(delete(Assignment).where(Assignment.member_id == row.id))  # whoever comes back is assigned anew
    await db.execute(delete(SignInAddress).where(SignInAddress.member == row.id))


async def _tell_ledger(db: Db, account: UUID, member: UUID, role: Role | None, *, gives: bool = False) -> None:
    """Called with the row locked, so that the ledger's last word is the last one."""
    note(db, MemberIs(at=await now_in(db), account=account, member=member, role=role, gives=gives))


async def _owners(db: Db) -> int:
    """How many there are; nobody else changes that before this transaction ends."""
    await _one_at_a_time(db)
    return await db.scalar(select(func.count()).where(Member.role == Role.OWNER, Member.removed_at.is_(None))) or 0


async def _one_at_a_time(db: Db) -> None:
    """Two owners who remove each other at once leave one; a double click adds a member once."""
    await db.execute(select(Account.account_id).with_for_update())


async def _row(db: Db, member: UUID, *, lock: bool = False) -> Member:
    row = await db.get(Member, member, with_for_update=lock, populate_existing=lock)
    if row is None or row.removed_at is not None:
        raise NotThere
    return row


def _keep_an_owner(row: Member, owners: int) -> None:
    decision = may_stop_being(Role(row.role), owners)
    if not decision:
        raise LastOwner(decision.reason)


def _line(columns: SealedColumns, row: Member) -> MemberLine:
    account, person = AccountId(row.account_id), PersonId(row.id)
    return MemberLine(
        id=person,
        name=columns.open(account, person, NAME_FIELD, row.name),
        email=columns.open(account, person, EMAIL_FIELD, row.email),
        role=Role(row.role),
        since=row.created_at,
    )
