"""Holes: everything of a track that is lost for good, with its time and length, however short. Pure functions.

A gap (gaps.py) is for people: long enough to be noticed. A hole is for the record: a packet of sound counts too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import pairwise
from typing import TypeVar

from recordings.index import IndexGap, IndexHole

MOST_HOLES = 4096  # of a track, about 50 kB of its index; a call that loses sound once a second fills it in an hour
MOST_TOLD = 500  # gaps of a recording, of each kind, that people are told one by one

Stretch = tuple[int, int]
"""From and to, ms of the recording's timeline."""

_Thing = TypeVar("_Thing")


def holes_of(lost: Iterable[IndexHole], most: int = MOST_HOLES) -> tuple[IndexHole, ...]:
    """What is lost, in time, each once. Of more than `most` those nearest to each other are put together: the sum of
    what is missing stays exact, its place is told more coarsely."""
    apart = _apart(lost)
    return tuple(
        IndexHole(group[0].from_ms, group[-1].to_ms, sum(hole.missing_ms for hole in group))
        for group in _nearest_together(apart, [(hole.from_ms, hole.to_ms) for hole in apart], most)
    )


def fewer_gaps(gaps: Sequence[IndexGap], most: int = MOST_TOLD) -> tuple[IndexGap, ...]:
    """In time and at most so many: those nearest to each other become one, with the reason of the longest of them.
    What stood between them is told as missing then, never the other way round."""
    ordered = sorted(gaps, key=lambda gap: (gap.from_ms, gap.to_ms))
    groups = _nearest_together(ordered, [(gap.from_ms, gap.to_ms) for gap in ordered], most)
    return tuple(
        IndexGap(group[0].from_ms, group[-1].to_ms, max(group, key=lambda gap: gap.to_ms - gap.from_ms).why)
        for group in groups
    )


def _apart(lost: Iterable[IndexHole]) -> list[IndexHole]:
    """Those that overlap or touch as one."""
    apart: list[IndexHole] = []
    for hole in sorted((one for one in lost if one.to_ms > one.from_ms), key=lambda one: (one.from_ms, one.to_ms)):
        if apart and hole.from_ms <= apart[-1].to_ms:
            apart[-1] = _union(apart[-1], hole)
        else:
            apart.append(hole)
    return apart


def _union(one: IndexHole, other: IndexHole) -> IndexHole:
    """Of two of which every moment is missing, every moment is."""
    to_ms = max(one.to_ms, other.to_ms)
    length = to_ms - one.from_ms
    complete = all(hole.missing_ms == hole.to_ms - hole.from_ms for hole in (one, other))
    return IndexHole(one.from_ms, to_ms, length if complete else min(length, one.missing_ms + other.missing_ms))


def _nearest_together(things: Sequence[_Thing], places: Sequence[Stretch], most: int) -> list[Sequence[_Thing]]:
    """At most `most` groups of neighbours, parted where the distance between two is largest."""
    distances = [later[0] - earlier[1] for earlier, later in pairwise(places)]
    cuts = sorted(nlargest(most - 1, range(1, len(things)), key=lambda number: distances[number - 1]))
    edges = [0, *cuts, len(things)]
    return [things[start:end] for start, end in pairwise(edges) if end > start]
