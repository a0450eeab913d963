"""One timer that drains every media socket of the process.

A wake-up of the event loop costs about 100 us and would come once per burst of each participant; draining all
sockets by the clock costs a third less at 30 participants, and recording does not mind the delay. With few
participants the wake-ups themselves are most of the cost, so they come no more often than a viewer would notice.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

INTERVAL_S = 0.025
TICK_EVERY = 3
"""Rounds between two ticks: 75 ms."""

log = logging.getLogger(__name__)


class Polled(Protocol):
    """Both are called in the event loop."""

    def drain(self) -> None:
        """Takes in what has arrived, a bounded amount of it."""

    def tick(self) -> None:
        """What is due by time."""


class Poller:
    """Runs only while it has something to poll; safe to change from inside a round."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._polled: list[Polled] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._round = 0
        self.faults = 0

    def add(self, polled: Polled) -> None:
        self._polled.append(polled)
        if self._timer is None:
            self._due = self._loop.time() + INTERVAL_S
            self._timer = self._loop.call_at(self._due, self._run)

    def remove(self, polled: Polled) -> None:
        """Nothing happens if it was removed before."""
        if polled in self._polled:
            self._polled.remove(polled)
        if not self._polled and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        self._round += 1
        ticks = self._round % TICK_EVERY == 0
        for polled in tuple(self._polled):
            try:
                polled.drain()
                if ticks:
                    polled.tick()
            except Exception:  # one stream's fault must not silence the others
                self.faults += 1
                if self.faults & (self.faults - 1) == 0:  # at 1, 2, 4, 8 … a fault in every round must not fill the log
                    log.exception("a media stream failed", extra={"faults": self.faults})
        if self._polled and self._timer is None:
            self._due = max(self._due + INTERVAL_S, self._loop.time())
            self._timer = self._loop.call_at(self._due, self._run)


_pollers: dict[asyncio.AbstractEventLoop, Poller] = {}


def shared_poller() -> Poller:
    """The poller of the running event loop."""
    loop = asyncio.get_running_loop()
    for closed in [known for known in _pollers if known.is_closed()]:
        del _pollers[closed]
    return _pollers.setdefault(loop, Poller(loop))
