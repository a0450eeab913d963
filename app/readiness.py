"""Is this process of use just now: does it reach what it needs?

`/health/live` says only that the process answers; `/health/ready` what `look` finds. Looking changes nothing but for
the probe object that a store writes and removes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from app.migrations import run
from app.wiring import Wiring
from recordings.encryption.keystore import KeyStoreError
from recordings.storage.store import StoreError

LOOK_LIMIT_S = 5.0
STORE_AGAIN_AFTER_S = 60.0
"""Asking a paid store costs requests; its answer counts for so long."""


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """By name of what is needed: "ok", or in a few fixed words what is the matter."""

    needed: dict[str, str]

    @property
    def ready(self) -> bool:
        return all(state == "ok" for state in self.needed.values())


class Readying:
    """Looks again each time it is asked, at the object store once a minute."""

    def __init__(self, wiring: Wiring, clock: Callable[[], float] = time.monotonic) -> None:
        self._wiring, self._clock = wiring, clock
        self._store, self._store_until = "not looked at yet", float("-inf")

    async def look(self) -> Readiness:
        database, keys, store = await asyncio.gather(
            self._in_time(self._look_at_database), self._in_time(self._look_at_keys), self._look_at_store()
        )
        return Readiness(needed={"database": database, "keys": keys, "store": store})

    def _look_at_database(self) -> str:
        try:
            revision = run.current(self._wiring.database.url)
        except psycopg.Error:
            return "not reachable"
        return "ok" if run.serves(revision) else "not migrated"

    def _look_at_keys(self) -> str:
        try:
            self._wiring.keys.check()
        except (KeyStoreError, OSError):
            return "not usable"
        return "ok"

    async def _look_at_store(self) -> str:
        if self._clock() >= self._store_until:
            self._store = await self._in_time(self._ask_store)
            again = STORE_AGAIN_AFTER_S if self._store == "ok" else 0.0
            self._store_until = self._clock() + again
        return self._store

    def _ask_store(self) -> str:
        try:
            self._wiring.store.check()
        except (StoreError, OSError):
            return "not usable"
        return "ok"

    async def _in_time(self, look: Callable[[], str]) -> str:
        try:
            return await asyncio.wait_for(asyncio.to_thread(look), LOOK_LIMIT_S)
        except TimeoutError:
            return "does not answer"
