"""The clock of keys: when a new epoch is due, and when the key of a backup ends."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from app.backup import end_backups
from app.wiring import Wiring

SLACK = timedelta(minutes=30)
"""The clock looks every ten minutes: begun a little early, an epoch is never longer than the setting says."""

log = logging.getLogger("junier.privacy")


def is_due(began: datetime | None, hours: int, now: datetime) -> bool:
    """Whether a new epoch begins now. began: None before the first; of a rotation that died, when the old one began,
    so it is taken up at once."""
    return began is None or now - began >= timedelta(hours=hours) - SLACK


async def renew_keys(wiring: Wiring, now: datetime) -> bool:
    """Begin a new epoch when one is due, and end the keys of backups that are too old; True when one was begun.
    Safe to run again and beside itself. Raises KeyStoreError."""
    keys, settings = wiring.keys, wiring.settings
    today = now.astimezone(UTC).date()
    ended = await asyncio.to_thread(lambda: end_backups(keys, days=settings.backup_days, today=today))
    if ended:
        log.info("%s keys of backups ended", ended)
    health = await asyncio.to_thread(keys.check)
    if not is_due(health.epoch_began, settings.key_epoch_hours, now):
        return False
    if health.damaged:
        damaged = ", ".join(map(str, health.damaged))
        log.error("keys of accounts that do not open: %s", damaged)
    accounts = await asyncio.to_thread(keys.rotate)
    log.info("a new key epoch for %s accounts", accounts)
    return True
