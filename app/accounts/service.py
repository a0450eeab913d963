"""Verbs of the customer: make an account, add a member, ask for a sign-in link, sign in."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from sqlalchemy import func, select, text

from app.accounts.models import Account, Member, Role, SignInAddress, SignInLink
from app.accounts.policy import LinkFacts, may_ask_link, may_use_link
from app.database import Db, door, now_in, set_account
from app.errors import Conflict, NotThere
from app.mail.service import queue
from app.sealed_columns import SealedColumns, normalise_address
from app.settings import Settings
from app.tokens import SIGN_IN_LINK_LIFE, new_token, token_hash
from app.wiring import Wiring
from recordings.encryption.keystore import KeyStore
from recordings.model import AccountId, PersonId

PURPOSE = "sign-in-link"
NAME_FIELD = "member.name"
EMAIL_FIELD = "member.email"
ADDRESS_ITEM = "sign-in-address"


class LinkGone(NotThere):
    """This sign-in link does not work any more. Links work once and for 10 minutes; please ask for a new one."""


class AlreadyMember(Conflict):
    """This address already belongs to a member of this account."""


@dataclass(frozen=True, kw_only=True)
class SignedInMember:
    """Whose link was used; the account is set."""

    account: AccountId
    member: PersonId


async def create_account(
    db: Db, columns: SealedColumns, *, name: str, owner_name: str, owner_email: str
) -> tuple[AccountId, PersonId]:
    """A new account with its keys and its owner; sets the account of this transaction. Returns account and owner."""
    account = AccountId(uuid4())
    await set_account(db, account)
    columns.make_account_keys(account)
    db.add(Account(account_id=account, name=name))
    await db.flush()
    return account, await add_member(db, columns, account=account, name=owner_name, email=owner_email, role=Role.OWNER)


async def add_member(
    db: Db, columns: SealedColumns, *, account: AccountId, name: str, email: str, role: Role
) -> PersonId:
    """A person who signs in by mailed link; somebody who was removed comes back as the same person, with the
    name and role given now. Raises AlreadyMember."""
    index = columns.blind_index(account, email)
    row = await db.scalar(select(Member).where(Member.email_index == index).with_for_update())
    if row is not None and row.removed_at is None:
        raise AlreadyMember
    member = PersonId(row.id if row else uuid4())
    columns.make_person_key(account, member)
    row = row or Member(id=member, account_id=account, email_index=index)
    row.role, row.removed_at = role, None
    row.name = columns.seal(account, member, NAME_FIELD, name)
    row.email = columns.seal(account, member, EMAIL_FIELD, email)
    db.add(row)
    db.add(SignInAddress(address_hash=address_hash(columns.keys, email), account=account, member=member))
    await db.flush()
    return member


async def ask_sign_in(db: Db, wiring: Wiring, *, email: str, next_path: str = "/") -> None:
    """Mail a link for every account this address is a member of; nothing for an unknown address.
    The caller answers the same either way, before this runs."""
    found = (
        await db.execute(
            text("SELECT * FROM find_member_by_address(address_hash => :address_hash)"),
            {"address_hash": address_hash(wiring.keys, email)},
        )
    ).all()
    for row in found:
        account, member_id = AccountId(row.account_id), PersonId(row.member_id)
        await set_account(db, account)
        await _mail_link(db, wiring, account, member_id, next_path)


async def make_link(db: Db, settings: Settings, *, account: AccountId, member: PersonId, next_path: str = "/") -> str:
    """The address of a fresh sign-in link; for the mail, and for the operator's command line."""
    token = new_token()
    db.add(
        SignInLink(
            account_id=account,
            member_id=member,
            token_hash=token_hash(token, PURPOSE),
            expires_at=await now_in(db) + SIGN_IN_LINK_LIFE,
        )
    )
    await db.flush()
    return f"{settings.public_url.rstrip('/')}/sign-in/{token}" + (
        f"?next={quote(next_path)}" if next_path != "/" else ""
    )


async def use_link(db: Db, *, token: str) -> SignedInMember:
    """Spend a link; from here on its account is set. Raises LinkGone (unknown, used, expired, member removed)."""
    found = await door(db, "find_sign_in_link", token_hash=token_hash(token, PURPOSE))
    if found is None:
        raise LinkGone
    account = AccountId(found.account_id)
    await set_account(db, account)
    link = await db.get(SignInLink, found.sign_in_link_id, with_for_update=True)  # two clicks at once: one wins
    member = await db.get(Member, link.member_id) if link else None
    now = await now_in(db)
    if link is None or member is None:
        raise LinkGone
    facts = LinkFacts(
        expires_at=link.expires_at, used=link.used_at is not None, member_removed=member.removed_at is not None
    )
    if not may_use_link(facts, now):
        raise LinkGone
    link.used_at = now
    return SignedInMember(account=account, member=PersonId(member.id))


async def member_names(db: Db, columns: SealedColumns) -> dict[PersonId, str]:
    """Names of the account's members by id."""
    rows = (await db.scalars(select(Member))).all()
    return {PersonId(m.id): columns.open(AccountId(m.account_id), PersonId(m.id), NAME_FIELD, m.name) for m in rows}


def address_hash(keys: KeyStore, email: str) -> bytes:
    """Keyed hash of a member's address over the whole installation, for finding the account at sign-in."""
    key = SealedColumns(keys).platform_key(ADDRESS_ITEM)
    return hmac.new(key, normalise_address(email).encode(), sha256).digest()


async def _mail_link(db: Db, wiring: Wiring, account: AccountId, member_id: PersonId, next_path: str) -> None:
    member = await db.get(Member, member_id, with_for_update=True)
    if member is None or member.removed_at is not None:
        return
    now = await now_in(db)
    waiting = SignInLink.expires_at > now, SignInLink.used_at.is_(None)  # a used one has reached its person
    recent = await db.scalar(select(func.count()).where(SignInLink.member_id == member_id, *waiting))
    if not may_ask_link(recent or 0):
        return
    columns = wiring.columns
    link = await make_link(db, wiring.settings, account=account, member=member_id, next_path=next_path)
    account_name: Any = await db.scalar(select(Account.name))
    await queue(
        db,
        columns,
        settings=wiring.settings,
        account=account,
        person=member_id,
        template="sign_in",
        key=f"sign-in-{uuid4()}",
        optional=False,
        context={
            "link": link,
            "minutes": int(SIGN_IN_LINK_LIFE.total_seconds() // 60),
            "account_name": account_name,
        },
        to_name=columns.open(account, member_id, NAME_FIELD, member.name),
        to_email=columns.open(account, member_id, EMAIL_FIELD, member.email),
    )
