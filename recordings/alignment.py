"""From RTP ticks to one timeline: where a frame stands on the server's clock, and so beside all others.

Sender reports (RFC 3550 §6.4.1) place both tracks of a stream on the sender's own clock. A report cannot
arrive before it was sent, so the least difference between arrival and sender time moves that clock to the
server's; and as clocks drift apart, by no more than so much a second, it is the least of what all reports of
the take say of that moment. Media clocks drift as well and reports jitter by about a millisecond, so the
offset is the median of every half minute, linear in between. Pure functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from recordings.model import SenderReport, TrackKind

_WINDOW_S = 30.0
_JUMP_S = 0.5  # a device that slept stops its media clock: a step, not a slope
_UNBELIEVABLE_S = 10.0
_MOST_DRIFT = 200e-6  # of a sender's clock against ours; quartz alone stays below a quarter of it


@dataclass(frozen=True, slots=True)
class ClockPoint:
    """A moment seen on both clocks: media ticks, UTC seconds."""

    ticks: int
    utc: float


@dataclass(frozen=True, slots=True)
class TickClock:
    """UTC of any tick of one track in one take. knots: offsets (UTC minus media time) at some ticks."""

    rate: int
    at: tuple[int, ...]
    offsets: tuple[float, ...]

    def utc(self, ticks: int) -> float:
        return ticks / self.rate + self._offset(ticks)

    def _offset(self, ticks: int) -> float:
        after = bisect_right(self.at, ticks)
        if after == 0:
            return self.offsets[0]
        if after == len(self.at):
            return self.offsets[-1]
        from_ticks, to_ticks = self.at[after - 1], self.at[after]
        share = (ticks - from_ticks) / (to_ticks - from_ticks)
        return self.offsets[after - 1] + share * (self.offsets[after] - self.offsets[after - 1])


def take_clocks(
    reports: Mapping[TrackKind, Sequence[SenderReport]], arrivals: Mapping[TrackKind, Sequence[ClockPoint]]
) -> dict[TrackKind, TickClock]:
    """One clock for each track of a take: by its sender reports, or by when its frames arrived if it
    has none or they contradict the arrival by more than ten seconds."""
    believable = _believable([report for those in reports.values() for report in those])
    points_of = _on_our_clock(believable)
    clocks = {}
    for kind, seen in arrivals.items():
        points = points_of.get(kind, [])
        clock = _clock(points, kind.clock_rate) if points else None
        if clock is None or abs(clock.utc(seen[0].ticks) - seen[0].utc) > _UNBELIEVABLE_S:
            clock = _clock_of_arrivals(seen, kind.clock_rate)
        clocks[kind] = clock
    return clocks


def _believable(reports: Sequence[SenderReport]) -> list[SenderReport]:
    """Without those whose clock is far from what most of the take says."""
    if not reports:
        return []
    usual = median(report.arrived_at - report.ntp for report in reports)
    return [report for report in reports if abs(report.arrived_at - report.ntp - usual) <= _UNBELIEVABLE_S]


def _on_our_clock(reports: Iterable[SenderReport]) -> dict[TrackKind, list[ClockPoint]]:
    """What each report says, on the server's clock.

    The offset of a moment is at most what a report of then says, and at most what one of t seconds earlier or later
    says and t times the drift: the least of all is the best there is to know. So a minute of slow network moves
    nothing, and two hours of drift are followed."""
    by_time = sorted(reports, key=lambda report: report.ntp)
    moves = [report.arrived_at - report.ntp for report in by_time]
    there = range(len(moves))
    for other, this in [*pairwise(there), *pairwise(reversed(there))]:
        apart = abs(by_time[this].ntp - by_time[other].ntp)
        moves[this] = min(moves[this], moves[other] + _MOST_DRIFT * apart)
    points: dict[TrackKind, list[ClockPoint]] = {}
    for report, move in zip(by_time, moves, strict=True):
        points.setdefault(report.kind, []).append(ClockPoint(report.ticks, report.ntp + move))
    return points


def _clock_of_arrivals(seen: Sequence[ClockPoint], rate: int) -> TickClock:
    """The least delayed frame tells best when frames were sent."""
    return TickClock(rate, (seen[0].ticks,), (min(point.utc - point.ticks / rate for point in seen),))


def _clock(points: Iterable[ClockPoint], rate: int) -> TickClock:
    knots: dict[int, float] = {}
    until: tuple[int, float] | None = None
    for stretch in _stretches(sorted(points, key=lambda point: point.ticks), rate):
        if until:  # hold the offset up to the step
            knots[max(until[0], stretch[0].ticks - 1)] = until[1]
            knots[stretch[0].ticks] = median(point.utc - point.ticks / rate for point in _windows(stretch, rate)[0])
        for window in _windows(stretch, rate):
            knots[round(median(point.ticks for point in window))] = median(p.utc - p.ticks / rate for p in window)
        until = (stretch[-1].ticks, knots[max(knots)])
    at = sorted(knots)
    return TickClock(rate, tuple(at), tuple(knots[ticks] for ticks in at))


def _stretches(points: Sequence[ClockPoint], rate: int) -> list[list[ClockPoint]]:
    """Split where the media clock and the sender's clock jump against each other."""
    stretches = [[points[0]]]
    for before, point in pairwise(points):
        if abs((point.utc - before.utc) - (point.ticks - before.ticks) / rate) > _JUMP_S:
            stretches.append([])
        stretches[-1].append(point)
    return stretches


def _windows(points: Sequence[ClockPoint], rate: int) -> list[list[ClockPoint]]:
    windows = [[points[0]]]
    for point in points[1:]:
        if point.ticks - windows[-1][0].ticks > _WINDOW_S * rate:
            windows.append([])
        windows[-1].append(point)
    return windows
