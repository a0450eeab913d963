"""How much a sender may send: an estimate from delay and loss, told as REMB (pure: `now` comes in).

A bottleneck shows as a queue: packets take ever longer. A track's time on the way is arrival minus RTP timestamp, which
differs from the true delay by an offset that drifts as two clocks do, so only its rise above the smallest of the
last half minute counts. A real queue delays every track; a sound card that stumbled, or a slow encoder, only its
own, so the least delayed track tells. Sockets are drained every 25 ms, so single arrivals are late by up to that;
the smallest of an interval is not. While a queue stands, what arrives is what the bottleneck lets through.

Starts high, because a research session should look good from its first second: a sender of WebRTC ramps up by itself.
"""

from __future__ import annotations

from collections import deque

MAX_BITS_PER_SECOND = 4_000_000
MIN_BITS_PER_SECOND = 150_000
EVERY_S = 0.25
RATES = 6
"""Intervals of which the best tells what comes through; a sender that was told to send less sends less than that."""
BASE_WINDOW_S = 30.0
QUEUE_LONG_S = 0.06
"""More than this waits in front of a bottleneck: less must be sent."""
QUEUE_SHORT_S = 0.03
"""Less than this is no queue: more may be tried."""
NO_QUEUE_S = 3.0
"""No router keeps packets this long."""
MOST_IN_VAIN = 6
"""Times lowered without the queue getting shorter than QUEUE_LONG_S: then it is none, but a longer way."""
BACK_OFF = 0.85
GROW_PER_S = 1.15
GROW_NEAR_PER_S = 1.03
"""Around the rate at which the last queue stood."""


class _Way:
    """The delay of one track."""

    def __init__(self) -> None:
        self.smallest: float | None = None  # of this interval
        self._kept: deque[tuple[float, float]] = deque()  # (when, smallest), rising: a sliding minimum

    def rise(self, now: float) -> float | None:
        """Above the smallest of the window; None if nothing came in this interval, which ends here."""
        delay, self.smallest = self.smallest, None
        if delay is None:
            return None
        while self._kept and self._kept[-1][1] >= delay:
            self._kept.pop()
        self._kept.append((now, delay))
        while self._kept[0][0] < now - BASE_WINDOW_S:
            self._kept.popleft()
        return delay - self._kept[0][1]


class Bandwidth:
    """One sender's. `allowed`: bits per second for all its tracks together, never more than `most`."""

    def __init__(self, most: int = MAX_BITS_PER_SECOND) -> None:
        self.allowed = self._most = most
        self._since: float | None = None
        self._bytes = 0
        self._rates: deque[float] = deque(maxlen=RATES)
        self._ways: dict[int, _Way] = {}
        self._lowered_at = float("-inf")
        self._in_vain = 0
        self._stood_at = 0.0

    def arrived(self, size: int) -> None:
        """So many bytes more."""
        self._bytes += size

    def travelled(self, ssrc: int, seconds: float) -> None:
        """Arrival minus RTP timestamp of the newest packet that came, in seconds on any steady scale."""
        way = self._ways.get(ssrc)
        if way is None:
            way = self._ways[ssrc] = _Way()
        if way.smallest is None or seconds < way.smallest:
            way.smallest = seconds

    def assess(self, now: float) -> bool:
        """To be called often; True when `allowed` has fallen and the sender should hear it at once."""
        if self._since is None:
            self._since = now
        passed = now - self._since
        if passed < EVERY_S:
            return False
        self._rates.append(8 * self._bytes / passed)
        self._since, self._bytes = now, 0
        rises = [rise for way in self._ways.values() if (rise := way.rise(now)) is not None]
        if not rises:
            return False
        queue = min(rises)
        if queue > NO_QUEUE_S or self._in_vain > MOST_IN_VAIN:  # the sender's clock or its way to us has changed
            self._ways.clear()
            self._in_vain = 0
            return False
        if queue > QUEUE_LONG_S:
            self._stood_at = min(self.allowed, max(self._rates))
            return self._lower(int(self._stood_at * BACK_OFF), now, queue)
        self._in_vain = 0
        if queue < QUEUE_SHORT_S and now - self._lowered_at > 1.0:
            near = 0.8 * self._stood_at < self.allowed < 1.2 * self._stood_at
            self.allowed = min(self._most, int(self.allowed * (GROW_NEAR_PER_S if near else GROW_PER_S) ** passed))
        return False

    def lost(self, fraction: float, now: float) -> None:
        """Share of packets lost on the way in the last second: above 10 % down by half of it, as senders themselves do
        (draft-ietf-rmcat-gcc §6); what a queue has already lowered is not lowered twice."""
        if fraction > 0.10 and now - self._lowered_at > 1.0:
            self._lower(int(self.allowed * (1 - 0.5 * fraction)), now, 0.0)

    def _lower(self, to: int, now: float, queue: float) -> bool:
        """Not again before the queue that is there can have drained."""
        if now - self._lowered_at < 0.5 + queue:
            return False
        self._lowered_at = now
        self._in_vain += queue > 0
        self.allowed = max(MIN_BITS_PER_SECOND, to)
        return True
