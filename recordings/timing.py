"""Clocks: RTP ticks and sequence numbers unwrapped, NTP <-> UTC, and all tracks of a take on one timeline (pure).

A sender report (RFC 3550 §6.4.1) says which RTP timestamp belongs to which moment of the sender's clock; all
tracks of a peer share that clock, so reports align them to each other within about a millisecond. The
smallest difference between arrival and sender clock over a take maps the sender's clock to the server's.
Without reports a track is placed by the arrival of its first frame, which can be wrong by tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from recordings.model import SenderReport, TrackKind

NTP_TO_UNIX_S = 2_208_988_800
"""Seconds from 1900 (NTP, RFC 5905 §6) to 1970 (Unix)."""

SLOPE_NEEDS_S = 30.0
"""A clock's speed is measured only over a stretch at least this long; report jitter is about 1 ms."""

MAX_SKEW = 500e-6
"""No working sound card or camera clock is further off than this; a larger skew is a broken report."""


def unwrap(value: int, near: int, bits: int) -> int:
    """The integer congruent to `value` modulo 2**bits that is closest to `near`; ties go forward."""
    span = 1 << bits
    forward = (value - near) & (span - 1)
    return near + forward - (span if forward > span >> 1 else 0)


def unwrap_sequence(sequence: int, near: int) -> int:
    """A 16-bit RTP sequence number (RFC 3550 §5.1) as a count that does not wrap."""
    return unwrap(sequence, near, 16)


def unwrap_ticks(timestamp: int, near: int) -> int:
    """A 32-bit RTP timestamp (RFC 3550 §5.1) as a count that does not wrap."""
    return unwrap(timestamp, near, 32)


def ntp_seconds(timestamp: int) -> float:
    """A 64-bit NTP timestamp (32.32 fixed point, RFC 3550 §4) in seconds since 1900; exact to half a microsecond."""
    return timestamp / 4_294_967_296


def ntp_to_utc(ntp: float) -> float:
    """Seconds since 1900 -> UTC seconds since 1970."""
    return ntp - NTP_TO_UNIX_S


def utc_to_ntp(utc: float) -> float:
    """UTC seconds since 1970 -> seconds since 1900."""
    return utc + NTP_TO_UNIX_S


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """A straight line from ticks to seconds: `seconds` was the moment of `ticks`."""

    ticks: float
    seconds: float
    ticks_per_second: float

    def at(self, ticks: int) -> float:
        return self.seconds + (ticks - self.ticks) / self.ticks_per_second


def fit_clock(reports: Sequence[SenderReport]) -> Clock:
    """The sender's clock (UTC by its own watch) under one track's ticks, from one report or more.

    Over a long stretch the true speed is measured (least squares), because 50 ppm are 0.5 s in three
    hours; over a short one the nominal rate is kept and the median report decides.
    """
    rate = float(reports[0].kind.clock_rate)
    start = reports[0].ticks
    ticks = [float(report.ticks - start) for report in reports]
    seconds = [ntp_to_utc(report.ntp) for report in reports]
    if (max(ticks) - min(ticks)) / rate >= SLOPE_NEEDS_S:
        mean_ticks, mean_seconds = fmean(ticks), fmean(seconds)
        spread = sum((t - mean_ticks) ** 2 for t in ticks)
        slope = sum((t - mean_ticks) * (s - mean_seconds) for t, s in zip(ticks, seconds, strict=True)) / spread
        if abs(slope * rate - 1) <= MAX_SKEW:
            return Clock(ticks=start + mean_ticks, seconds=mean_seconds, ticks_per_second=1 / slope)
    offset = median(s - t / rate for t, s in zip(ticks, seconds, strict=True))
    return Clock(ticks=start, seconds=offset, ticks_per_second=rate)


def sender_ahead_s(reports: Sequence[SenderReport]) -> float:
    """How far the sender's clock is ahead of ours: the report that travelled fastest tells best.

    What remains is the shortest travel time of the take (a few milliseconds), the same for all its tracks.
    """
    return -min(report.arrived_at - ntp_to_utc(report.ntp) for report in reports)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """The first frame of a track and when it came, in server UTC seconds."""

    kind: TrackKind
    ticks: int
    utc: float


def align(arrivals: Sequence[Arrival], reports: Sequence[SenderReport]) -> Mapping[TrackKind, Clock]:
    """For each track that arrived, the clock that turns its ticks into server UTC seconds, for one take.

    Reports of a clock that is not set (ntp 0: aiortc sends such before its first packet) are ignored.
    """
    told = [report for report in reports if report.ntp > 0]
    ahead_s = sender_ahead_s(told) if told else 0.0
    clocks: dict[TrackKind, Clock] = {}
    for arrival in arrivals:
        own = [report for report in told if report.kind is arrival.kind]
        if own:
            line = fit_clock(own)
            clocks[arrival.kind] = Clock(
                ticks=line.ticks, seconds=line.seconds - ahead_s, ticks_per_second=line.ticks_per_second
            )
        else:
            rate = float(arrival.kind.clock_rate)
            clocks[arrival.kind] = Clock(ticks=arrival.ticks, seconds=arrival.utc, ticks_per_second=rate)
    return clocks


class TickCount:
    """The RTP timestamps of one track as 64-bit ticks on a sane timeline.

    A timestamp far ahead of the time that passed, or far behind the last one, is a sender that restarted
    its clock (or a hostile one): counting goes on as if the time since the last packet had passed.
    """

    MOST_AHEAD_S = 60.0
    MOST_BEHIND_S = 5.0

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: int | None = None
        self._seen_at = 0.0
        self._shift = 0

    def at(self, timestamp: int, now: float) -> int:
        """The ticks of a 32-bit timestamp that is handed on at `now` (monotonic seconds)."""
        if self._last is None:
            self._last, self._seen_at = timestamp, now
            return timestamp
        raw = unwrap_ticks(timestamp, self._last)
        passed = int((now - self._seen_at) * self._rate)
        step = raw - self._last
        if step - passed > self.MOST_AHEAD_S * self._rate or step < -self.MOST_BEHIND_S * self._rate:
            self._shift += passed - step
        self._last, self._seen_at = raw, now
        return raw + self._shift

    def of(self, timestamp: int) -> int | None:
        """The ticks of a timestamp near the last one, for a report; None before the first packet."""
        return None if self._last is None else unwrap_ticks(timestamp, self._last) + self._shift
