"""Gaps: stretches of a timeline with nothing stored, each with its reason. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from recordings.index import IndexGap

NOT_CONNECTED = "not connected"
INTERRUPTED = "interrupted"
LOST = "lost on the network"
NOTHING_CAME = "nothing received"
SENT_TOO_MUCH = "more was sent than is allowed"
_EXPLAINED_MS = 250  # shorter ones are ordinary irregularity
_UNEXPLAINED_MS = 2000  # a still screen sends a frame a second


def find_gaps(covered: Iterable[tuple[int, int]], reasons: Sequence[IndexGap]) -> tuple[IndexGap, ...]:
    """The gaps between `covered` stretches (from_ms, to_ms), in order. Each takes the reason that
    overlaps it most; a short one without any reason is none: the sender had nothing to send."""
    return tuple(gap for stretch in _between(covered) if (gap := _explain(*stretch, reasons)))


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


def _explain(start: int, end: int, reasons: Sequence[IndexGap]) -> IndexGap | None:
    if end - start < _EXPLAINED_MS:
        return None
    best = max(reasons, key=lambda reason: _overlap(start, end, reason), default=None)
    if best and _overlap(start, end, best) > 0:
        return IndexGap(start, end, best.why)
    return IndexGap(start, end, NOTHING_CAME) if end - start >= _UNEXPLAINED_MS else None


def _overlap(start: int, end: int, reason: IndexGap) -> int:
    return min(end, reason.to_ms) - max(start, reason.from_ms)
