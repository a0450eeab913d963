"""One timer that drains every media socket of the process.

A wake-up of the event loop costs about 100 us and would come once per burst of each participant; draining all
sockets by the clock costs a third less at 30 participants, and recording does not mind the delay. With few
participants the wake-ups themselves are most of the cost, so they come no more often than a viewer would notice.
A round that takes long is taken in slices, so that permission and requests come in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from recordings.capture.faults import faults

INTERVAL_S = 0.025
TICK_EVERY = 3
"""Rounds between two ticks: 75 ms."""
SLICE_S = 0.02
"""After which the event loop gets its turn; what is left of the round follows at once."""


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
        self._left: deque[Polled] = deque()  # of this round
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        self._round = 0

    def add(self, polled: Polled) -> None:
        self._polled.append(polled)
        if self._timer is None:
            self._due = self._loop.time() + INTERVAL_S
            self._timer = self._loop.call_at(self._due, self._run)

    def remove(self, polled: Polled) -> None:
        """Nothing happens if it was removed before."""
        for places in (self._polled, self._left):
            if polled in places:
                places.remove(polled)
        if not self._polled and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        if not self._left:
            self._round += 1
            self._left.extend(self._polled)
        ticks = self._round % TICK_EVERY == 0
        until = self._loop.time() + SLICE_S
        while self._left:
            polled = self._left.popleft()
            faults.survived(polled.drain)
            if ticks:
                faults.survived(polled.tick)
            if self._loop.time() >= until:
                break
        if self._polled and self._timer is None:
            self._timer = self._loop.call_soon(self._run) if self._left else self._loop.call_at(self._next(), self._run)

    def _next(self) -> float:
        self._due = max(self._due + INTERVAL_S, self._loop.time())
        return self._due


_pollers: dict[asyncio.AbstractEventLoop, Poller] = {}


def shared_poller() -> Poller:
    """The poller of the running event loop."""
    loop = asyncio.get_running_loop()
    for closed in [known for known in _pollers if known.is_closed()]:
        del _pollers[closed]
    return _pollers.setdefault(loop, Poller(loop))
