"""Gaps: stretches of a timeline with nothing stored, each with its reason. Pure functions."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from recordings.index import IndexGap

NOT_CONNECTED = "not connected"
INTERRUPTED = "interrupted"
LOST = "lost on the network"
NOTHING_CAME = "nothing received"
SENT_TOO_MUCH = "more was sent than is allowed"
NOTICED_MS = 250  # people are told of a gap from here on; what is lost, however short, is a hole (holes.py)
_UNEXPLAINED_MS = 2000  # a still screen sends a frame a second


def find_gaps(covered: Iterable[tuple[int, int]], reasons: Sequence[IndexGap]) -> tuple[IndexGap, ...]:
    """The gaps between `covered` stretches (from_ms, to_ms), in order. Each takes the reason that overlaps it most,
    the first of several. One that nobody notices is none, nor a short one without a reason: the sender had nothing
    to send."""
    waiting = sorted(enumerate(reasons), key=lambda one: one[1].from_ms)
    near: list[tuple[int, IndexGap]] = []
    found, begun = [], 0
    for start, end in _between(covered):
        while begun < len(waiting) and waiting[begun][1].from_ms < end:
            near.append(waiting[begun])
            begun += 1
        near = [one for one in near if one[1].to_ms > start]
        if gap := _explain(start, end, [reason for _, reason in sorted(near, key=lambda one: one[0])]):
            found.append(gap)
    return tuple(found)


def beside(own: Sequence[IndexGap], whole: Iterable[IndexGap]) -> tuple[IndexGap, ...]:
    """What one kind lacks while something else goes on: its `own` gaps, in time, less those of the whole recording."""
    begins = [gap.from_ms for gap in own]
    left = without(((gap.from_ms, gap.to_ms) for gap in own), ((gap.from_ms, gap.to_ms) for gap in whole))
    return tuple(
        IndexGap(start, end, own[bisect(begins, start) - 1].why) for start, end in left if end - start >= NOTICED_MS
    )


def without(covered: Iterable[tuple[int, int]], holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of `covered` where nothing came in `holes`, all from_ms to to_ms. Holes do not overlap."""
    left, waiting = [], sorted(hole for hole in holes if hole[1] > hole[0])
    first = 0
    for start, end in sorted(covered):
        while first < len(waiting) and waiting[first][1] <= start:
            first += 1
        for hole_start, hole_end in islice(waiting, first, None):
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = max(start, hole_end)
        if start < end:
            left.append((start, end))
    return left


def _between(covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    until: int | None = None
    for start, end in sorted(covered):
        if until is not None and start > until:
            yield until, start
        until = end if until is None else max(until, end)


def _explain(start: int, end: int, reasons: Iterable[IndexGap]) -> IndexGap | None:
    if end - start < NOTICED_MS:
        return None
    best = max(reasons, key=lambda reason: _overlap(start, end, reason), default=None)
    if best and _overlap(start, end, best) > 0:
        return IndexGap(start, end, best.why)
    return IndexGap(start, end, NOTHING_CAME) if end - start >= _UNEXPLAINED_MS else None


def _overlap(start: int, end: int, reason: IndexGap) -> int:
    return min(end, reason.to_ms) - max(start, reason.from_ms)
