"""What a journal is told of holes: every one, but a sender that floods holes must not fill it. Pure state, no clock.

Those of one moment, as many are given up at once, are told one by one, and then so many a second; what comes above
that is told as one, with the sum of what is missing. Long ones, of which people are told, have a ration of their own.
"""

from __future__ import annotations

from recordings.model import Hole

EVERY_S = 0.1
AT_ONCE = 200
LONG_S = 0.25


class Losses:
    """Of one track in one take."""

    def __init__(self, clock_rate: int) -> None:
        self._long_ticks = int(LONG_S * clock_rate)
        self._short, self._long = _Ration(), _Ration()
        self._untold: Hole | None = None

    def add(self, hole: Hole, now: float) -> tuple[Hole, ...]:
        """What is to be told now, in time."""
        ration = self._long if hole.to_ticks - hole.from_ticks >= self._long_ticks else self._short
        if ration.take(now):
            return (*self.rest(), hole)
        self._untold = _as_one(self._untold, hole) if self._untold else hole
        return ()

    def tick(self, now: float) -> tuple[Hole, ...]:
        """What had to wait, once there is a ration for it."""
        return self.rest() if self._untold and self._short.take(now) else ()

    def rest(self) -> tuple[Hole, ...]:
        untold, self._untold = self._untold, None
        return (untold,) if untold else ()


class _Ration:
    def __init__(self) -> None:
        self._used_until = 0.0

    def take(self, now: float) -> bool:
        ahead = self._used_until - now
        if not 0 < ahead <= (AT_ONCE + 1) * EVERY_S:  # long ago, or the server's clock was set back
            ahead = 0.0
        if ahead >= AT_ONCE * EVERY_S:
            return False
        self._used_until = now + ahead + EVERY_S
        return True


def _as_one(before: Hole, after: Hole) -> Hole:
    return Hole(
        kind=after.kind,
        from_ticks=before.from_ticks,
        to_ticks=after.to_ticks,
        places=before.places + after.places,
        kept_ticks=before.kept_ticks + max(0, after.from_ticks - before.to_ticks),
    )
