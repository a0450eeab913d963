"""The bucket itself is asked where it lies and whether it can forget: before a process serves, and every few minutes as
long as it runs. A store refused keeps nothing until it is fit again (recordings/storage/confirmed.py)."""

from __future__ import annotations

import asyncio
import logging
import threading
from asyncio import sleep

from app.errors import Unavailable
from app.wiring import Wiring
from recordings.storage.confirmed import ConfirmedStore
from recordings.storage.store import StoreError, StoreRefused

START_LIMIT_S = 5.0
"""A store that answers later than this is not waited for: it takes no byte before it has answered."""
FIT_AGAIN_S = 300.0
UNFIT_AGAIN_S = 15.0

log = logging.getLogger("junier.store")


class NothingIsStored(Unavailable):
    """The place where recordings are kept is not fit for them just now, so nothing new can be recorded. The operator of
    this server sees why."""


def confirm_at_start(wiring: Wiring) -> None:
    """Blocks for START_LIMIT_S at the longest. Raises StoreRefused; a store that cannot be asked is only logged."""
    if not isinstance(wiring.store, ConfirmedStore):
        return
    asking = _Asking(wiring.store)
    asking.start()
    asking.join(START_LIMIT_S)
    if isinstance(asking.fault, StoreRefused):
        raise asking.fault
    if asking.fault is not None or asking.is_alive():
        log.warning("the object store does not say yet where it is; nothing is stored before it does")


async def watch_store(wiring: Wiring) -> None:
    """Until cancelled: asks again, sooner while it is refused."""
    store = wiring.store
    while isinstance(store, ConfirmedStore):
        before = store.refusal
        await sleep(UNFIT_AGAIN_S if before else FIT_AGAIN_S)
        try:
            await asyncio.to_thread(store.check)
        except (StoreError, OSError) as error:
            if store.refusal != before or not isinstance(error, StoreRefused):
                why = store.refusal if isinstance(error, StoreRefused) else type(error).__name__
                log.error("the object store was asked in vain: %s", why)
        else:
            if before:
                log.warning("the object store is fit again")


class _Asking(threading.Thread):
    """One check beside everything else; it may hang longer than anybody waits."""

    def __init__(self, store: ConfirmedStore) -> None:
        super().__init__(name="store check", daemon=True)
        self._store = store
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            self._store.check()
        except (StoreError, OSError) as error:
            self.fault = error
