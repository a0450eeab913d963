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


def holes_of(lost: Iterable[Stretch], most: int = MOST_HOLES) -> tuple[IndexHole, ...]:
    """What is lost, in time, each once. Of more than `most` those nearest to each other are put together: the sum of
    what is missing stays exact, its place is told more coarsely."""
    apart = _apart(lost)
    return tuple(
        IndexHole(group[0][0], group[-1][1], sum(end - start for start, end in group))
        for group in _nearest_together(apart, apart, most)
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


def _apart(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Those that overlap or touch as one."""
    apart: list[Stretch] = []
    for start, end in sorted(one for one in stretches if one[1] > one[0]):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart


def _nearest_together(things: Sequence[_Thing], places: Sequence[Stretch], most: int) -> list[Sequence[_Thing]]:
    """At most `most` groups of neighbours, parted where the distance between two is largest."""
    distances = [later[0] - earlier[1] for earlier, later in pairwise(places)]
    cuts = sorted(nlargest(most - 1, range(1, len(things)), key=lambda number: distances[number - 1]))
    edges = [0, *cuts, len(things)]
    return [things[start:end] for start, end in pairwise(edges) if end > start]
