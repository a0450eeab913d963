"""Clocks as pure functions: RTP ticks and sequence numbers unwrapped, NTP in seconds (alignment.py uses them)."""

from __future__ import annotations

FROM_1900_TO_1970_S = 2_208_988_800


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


def ntp_seconds(timestamp: int, near_utc: float) -> float:
    """A 64-bit NTP timestamp (32.32 fixed point, RFC 3550 §4) in seconds since 1900; exact to half a microsecond.

    It does not say its era, which ends on 7 February 2036 (RFC 5905 §6): of all moments it may mean it is the one
    nearest to `near_utc`."""
    seconds = unwrap(timestamp >> 32, int(near_utc) + FROM_1900_TO_1970_S, 32)
    return seconds + (timestamp & 0xFFFFFFFF) / 4_294_967_296


class TickCount:
    """The RTP timestamps of one track as 64-bit ticks on a sane timeline.

    A timestamp far ahead of the time that passed, at once or little by little, or far behind the last one, is a
    sender that restarted its clock (or a hostile one): counting goes on as if the time since the last packet had
    passed.
    """

    MOST_AHEAD_S = 60.0
    MOST_BEHIND_S = 5.0

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: int | None = None
        self._seen_at = 0.0
        self._shift = 0
        self._first, self._began_at = 0, 0.0

    def at(self, timestamp: int, now: float) -> int:
        """The ticks of a 32-bit timestamp that is handed on at `now` (monotonic seconds)."""
        if self._last is None:
            self._last = self._first = timestamp
            self._seen_at = self._began_at = now
            return timestamp
        raw = unwrap_ticks(timestamp, self._last)
        passed = int((now - self._seen_at) * self._rate)
        step = raw - self._last
        lead = raw + self._shift - self._first - (now - self._began_at) * self._rate
        if max(step - passed, lead) > self.MOST_AHEAD_S * self._rate or step < -self.MOST_BEHIND_S * self._rate:
            self._shift += passed - step
        self._last, self._seen_at = raw, now
        return raw + self._shift

    def of(self, timestamp: int) -> int | None:
        """The ticks of a timestamp near the last one, for a report; None before the first packet."""
        return None if self._last is None else unwrap_ticks(timestamp, self._last) + self._shift
