"""Mails about the end of an account: to all its owners, and in ids only to the platform's contact."""

from __future__ import annotations

from datetime import datetime

from app.database import Db
from app.privacy.rights.telling import tell_operator, tell_owners
from app.wiring import Wiring
from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId

TEMPLATES = ("account_closing", "account_closing_ids")


async def tell_of_closing(
    db: Db,
    wiring: Wiring,
    *,
    account: AccountId,
    step: str,
    key: str,
    closes_at: datetime,
    why: str = "",
    link: str = "",
) -> bool:
    """step: announced, kept, waiting, held or gone; the same step and key again writes nothing. why: what stands
    against it; link: to the certificate. False once the account's key is destroyed: nobody can be written to."""
    if not wiring.keys.exists(KeyPath(account)):
        return False
    context = {"step": step, "closes_at": closes_at, "why": why, "link": link, "account": account}
    owners, contact = TEMPLATES
    key = f"closing-{step}-{key}"
    await tell_owners(db, wiring, account=account, template=owners, key=key, context=context, closed_too=True)
    await tell_operator(db, wiring, account=account, template=contact, key=key, context=context)
    return True
