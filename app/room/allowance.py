"""How much a stream, a session and an account may send: the operator's limits, and who went beyond them (pure).

Many streams are refused, a stream that sends too much is told to send less (REMB), then ended, and kept out for a
minute; a session that has been recorded for the longest time is paused for good. Nothing ends without its reason.
"""

from __future__ import annotations

from math import ceil
from uuid import UUID

from app.errors import Forbidden, TooManyTries
from app.room.room import RoomFacts
from app.sessions.policy import Switch
from recordings.capture.traffic import Traffic

MUCH = 1.5
"""Times the limit: what a sender that obeys may need for a moment."""
MOST_FRAMES_PER_S = 600
"""Pictures and packets of sound: Opus has 400 at most, a camera 120. Each may cost a chunk, however small it is."""
MOST_REPORTS_PER_S = 500
"""Messages of RTCP: a sender has a few, a viewer who loses much some fifty."""
SMALL_PACKET_BYTES = 500
MOST_SMALL_PACKETS_PER_S = 1_000
"""Packets are counted as well, because each costs about the same: what the limit takes if all are rather small, and
sound, repairs and probes beside it."""
CUT_OFF_AFTER_S = 10.0
KEPT_OUT_S = 60.0
MOST_VIEWS = 4
"""Of one stream by one person: windows that are open at once. Another one takes the place of the oldest."""


class TooManyStreams(TooManyTries):
    """As many cameras and screens as this session may have are being sent already. Please try again later."""


class SentTooMuch(TooManyTries):
    """This stream was ended because it sent more than is allowed here. Please send with less quality."""


class RecordedLongest(Forbidden):
    """This session has been recorded for as long as it may be. Please go on in another session."""


class Meter:
    """One stream's rate. limit: bits per second."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._most_packets = MOST_SMALL_PACKETS_PER_S + limit / (8 * SMALL_PACKET_BYTES)
        self._before: tuple[Traffic, float] | None = None
        self._over_since: float | None = None

    def is_exceeded(self, traffic: Traffic, now: float) -> bool:
        """To be told about once a second. now: monotonic seconds."""
        before, self._before = self._before, (traffic, now)
        if before is None or now <= before[1]:
            return False
        new, seconds = traffic - before[0], now - before[1]
        if not self._is_much(new, seconds):
            self._over_since = None
            return False
        if self._over_since is None:
            self._over_since = before[1]
        return now - self._over_since >= CUT_OFF_AFTER_S

    def _is_much(self, new: Traffic, seconds: float) -> bool:
        return (
            8 * new.bytes > MUCH * self._limit * seconds
            or new.pictures + new.sounds > MOST_FRAMES_PER_S * seconds
            or new.packets > self._most_packets * seconds
            or new.reports > MOST_REPORTS_PER_S * seconds
        )


class KeptOut:
    """Who sent too much and may not come back for a while, by recording or viewer. now: monotonic seconds."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def add(self, who: UUID, now: float) -> None:
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[who] = now + KEPT_OUT_S

    def check(self, who: UUID, now: float) -> None:
        """Raises SentTooMuch."""
        wait_s = self._until.get(who, 0.0) - now
        if wait_s > 0:
            raise SentTooMuch(retry_after_s=ceil(wait_s))


def check_streams(in_session: int, in_account: int, *, of_session: int, of_account: int) -> None:
    """in_…: open now, without the one that comes. Raises TooManyStreams."""
    if in_session >= of_session:
        raise TooManyStreams(retry_after_s=30)
    if in_account >= of_account:
        raise TooManyStreams(
            "As many cameras and screens as this account may have are being sent already. Please try again later.",
            retry_after_s=30,
        )


def is_overlong(facts: RoomFacts, longest_minutes: int) -> bool:
    """Has the session been recorded, pauses included, for as long as it may be?"""
    if facts.recording_at is None or facts.recording is Switch.OFF:
        return False
    return (facts.as_of - facts.recording_at).total_seconds() >= longest_minutes * 60
