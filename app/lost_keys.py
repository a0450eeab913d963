"""Does this key store hold the keys of this database? Asked once by every process, before it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text

from app.sealed_columns import PLATFORM
from app.wiring import Wiring
from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyMissing, KeyPath, KeyStore, KeyStoreError
from recordings.model import AccountId

log = logging.getLogger("junier.keys")


class KeysLost(KeyStoreError):
    """The key store opens nothing of this database: it is empty or another one, or its master or epoch key is. Nothing
    sealed can be read, and nothing was changed. Put the key store back (docs/operators, Keys and backup); if it is lost
    for good, so is everything it sealed: recordings, names and addresses. Then begin with an empty database."""


class Found(StrEnum):
    OPENS = "opens"
    ERASED = "erased"
    MISSING = "missing"
    DAMAGED = "damaged"


async def refuse_lost_keys(wiring: Wiring) -> None:
    """Raises KeysLost when no account's key is known to the store. Of single ones the log tells, and their pages do.
    The platform's own key does not count: it is made anew when it is missed."""
    async with wiring.database.transaction() as db:
        heads = await db.scalars(text("SELECT account_id FROM audit_heads()"))
        accounts = [account for account in heads if account != PLATFORM]
    found = await asyncio.to_thread(lambda: {account: look(wiring.keys, account) for account in accounts})
    if are_lost(found):
        raise KeysLost
    lost = [str(account) for account, state in found.items() if state in (Found.MISSING, Found.DAMAGED)]
    if damaged := ", ".join(lost):
        log.error("accounts of which nothing can be read, because their key is missing or damaged: %s", damaged)


def are_lost(found: Mapping[UUID, Found]) -> bool:
    """A store that knows one of the accounts, erased ones too, is the right one."""
    return bool(found) and not set(found.values()) & {Found.OPENS, Found.ERASED}


def look(keys: KeyStore, account: UUID) -> Found:
    try:
        keys.unwrap(KeyPath(AccountId(account)))
    except KeyDestroyed:
        return Found.ERASED
    except KeyMissing:
        return Found.MISSING
    except KeyDamaged:
        return Found.DAMAGED
    return Found.OPENS
