"""What a media process carries and what more it takes (pure): counted in streams (decision 13).

A full process refuses (503 and Retry-After) and goes on serving those it has; none of them is served worse. Recording
goes before viewing: the last fifth is for streams alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil

CAPACITY = 80
"""Streams of one process: a 720p stream, sealed and stored, costs 0.75 % of a core, so that these are 60 % of it. The
rest is for bursts, a slower core, and the kernel's work of a real network."""
VIEW = 0.4
"""What one viewer of one stream costs, of a stream: 0.28 % of a core of 0.75 %."""
FOR_VIEWS = 0.8
"""Of the capacity, how far viewers may fill it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """streams: being received; views: being sent."""

    streams: int
    views: int

    @property
    def in_streams(self) -> float:
        return self.streams + VIEW * self.views

    @property
    def told(self) -> int:
        """As a heartbeat says it: whole streams, rounded up."""
        return ceil(self.in_streams)

    def takes_stream(self, capacity: int) -> bool:
        return self.in_streams + 1 <= capacity

    def takes_view(self, capacity: int) -> bool:
        return replace(self, views=self.views + 1).in_streams <= FOR_VIEWS * capacity


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A media process as its last heartbeat told. load: in streams."""

    name: str
    load: int
    capacity: int

    @property
    def takes_room(self) -> bool:
        """A room needs both: to be recorded, and to see each other."""
        return self.load < FOR_VIEWS * self.capacity


def emptiest(places: Iterable[Place]) -> str | None:
    """Where a new room lives: by share of the capacity, of equal ones the first by name. None: all are full."""
    fit = [place for place in places if place.takes_room]
    return min(fit, key=lambda place: (place.load / place.capacity, place.name)).name if fit else None
