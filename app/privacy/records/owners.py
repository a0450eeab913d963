"""Mails to the owners of an account."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from app.accounts.models import Account, Member, Role
from app.database import Db
from app.mail.service import queue
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


async def tell_owners(
    db: Db,
    wiring: Wiring,
    *,
    account: AccountId,
    template: str,
    key: str,
    context: Mapping[str, object],
    closed_too: bool = False,
) -> int:
    """One mail to each owner; the same key again writes nothing. Returns how many were written. No mail to an owner
    names a participant: mailboxes outlive erasures. Once the account is closed there is nothing they could act on, so
    they hear of its end only (closed_too)."""
    row = await db.get_one(Account, account)
    if row.closed_at is not None and not closed_too:
        return 0
    owners = select(Member).where(Member.role == Role.OWNER, Member.removed_at.is_(None)).order_by(Member.created_at)
    told = 0
    for owner in (await db.scalars(owners)).all():
        person = PersonId(owner.id)
        mail = await queue(
            db,
            wiring.columns,
            settings=wiring.settings,
            account=account,
            person=person,
            template=template,
            key=f"{key}-{owner.id}",
            optional=False,
            context={"account_name": row.name, "address": wiring.settings.public_url.rstrip("/"), **context},
            to_name=wiring.columns.open(account, person, "member.name", owner.name),
            to_email=wiring.columns.open(account, person, "member.email", owner.email),
        )
        told += mail is not None
    return told
