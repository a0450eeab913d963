"""How well a stream arrives and is stored: rates from counters, and one calm word (pure: `now` comes in).

Read about once a second in the media process; owners and researchers are told (PROTOCOL.md, `health`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from recordings.capture.chunks import CHUNK_S
from recordings.capture.loudness import mean_dbov
from recordings.capture.recorder import CaptureState
from recordings.capture.traffic import Traffic
from recordings.capture.uploader import ALARM_S

OVER_READINGS = 5
"""Rates are means over so many of them, one a second, so that numbers can be read while they change."""
CALM_S = 8.0
"""A stream that was weak is called good only after so long without a reason."""
MOST_LOST = 0.01
FEWEST_PICTURES_PER_S = 10.0
"""Of a camera that is on; a screen that stands still sends next to none."""
SILENT_DBOV = -85.0
"""Less power is no room, however quiet: a microphone that is off, unplugged or another one."""
SETTLED_S = 10.0
"""A stream that has just begun has lost the packets before its first one, and sends less than it will."""


class Word(StrEnum):
    GOOD = "good"
    WEAK = "weak"
    NOT_STORED = "not stored"


class Why(StrEnum):
    """Reasons for a word that is not good."""

    NOTHING = "nothing arrives"
    LOSS = "packets are lost"
    FEW_PICTURES = "few pictures"
    NO_ROOM = "no room"  # capture has stopped
    NOTHING_KEPT = "nothing is kept"  # permitted, and arriving
    LATE = "storing is late"  # kept, and waiting sealed on the server


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Between two readings. lost: share of packets that were given up, repairs counted as received; level: mean power
    of the sound in dBov, None when the sender does not say; heard: None when that cannot be known."""

    bits_per_s: float = 0.0
    lost: float = 0.0
    pictures_per_s: float = 0.0
    level: float | None = None
    heard: bool | None = None


def rates(new: Traffic, seconds: float) -> Rates:
    """new: what came in these seconds."""
    if seconds <= 0:
        return Rates()
    expected = new.received + new.lost
    level = mean_dbov(new.power, new.levels)
    if level is not None:
        heard: bool | None = level > SILENT_DBOV
    else:
        heard = False if new.sounds == new.pauses else None
    return Rates(
        bits_per_s=8 * new.bytes / seconds,
        lost=new.lost / expected if expected else 0.0,
        pictures_per_s=new.pictures / seconds,
        level=level,
        heard=heard,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    at: float
    traffic: Traffic


class Pulse:
    """The readings of one stream. now: monotonic seconds; has_camera, has_microphone: what was negotiated."""

    def __init__(self, *, has_camera: bool, has_microphone: bool) -> None:
        self._has_camera, self._has_microphone = has_camera, has_microphone
        self._readings: deque[_Reading] = deque(maxlen=OVER_READINGS + 1)
        self._began_at = self._heard_at = 0.0
        self._weak_at = float("-inf")
        self._waits_since: float | None = None
        self._why: frozenset[Why] = frozenset()
        self.rates = Rates()
        """Over the last seconds, the level over the last one."""

    def read(self, traffic: Traffic, state: CaptureState, late_s: float, now: float) -> None:
        """late_s: how long the oldest closed piece of it has been waiting to be stored."""
        before = self._readings[-1] if self._readings else None
        self._readings.append(_Reading(at=now, traffic=traffic))
        if before is None:
            self._began_at = self._heard_at = now
        else:
            self._take_rates(before, now)
        weak = self._network(now)
        if weak:
            self._weak_at = now
        self._why = frozenset(weak | self._storing(state, late_s, now))

    def silent_s(self, now: float) -> int:
        """Since when nothing is heard from the microphone; 0 while there is sound, or none can be known of."""
        return int(now - self._heard_at) if self._has_microphone and self._readings else 0

    def word(self, now: float) -> Word:
        if self._why & {Why.NO_ROOM, Why.NOTHING_KEPT, Why.LATE}:
            return Word.NOT_STORED
        return Word.WEAK if now - self._weak_at < CALM_S else Word.GOOD

    @property
    def why(self) -> list[Why]:
        return [one for one in Why if one in self._why]

    def _take_rates(self, before: _Reading, now: float) -> None:
        first, last = self._readings[0], self._readings[-1]
        whole = rates(last.traffic - first.traffic, last.at - first.at)
        lately = rates(last.traffic - before.traffic, last.at - before.at)
        self.rates = Rates(
            bits_per_s=whole.bits_per_s,
            lost=whole.lost,
            pictures_per_s=whole.pictures_per_s,
            level=lately.level,
            heard=lately.heard,
        )
        if lately.heard is not False:
            self._heard_at = now

    def _network(self, now: float) -> set[Why]:
        if now - self._began_at < SETTLED_S:
            return set()
        if not self.rates.bits_per_s:
            return {Why.NOTHING}
        weak = {Why.LOSS} if self.rates.lost > MOST_LOST else set()
        if self._has_camera and 0 < self.rates.pictures_per_s < FEWEST_PICTURES_PER_S:  # none: it is off
            weak.add(Why.FEW_PICTURES)
        return weak

    def _storing(self, state: CaptureState, late_s: float, now: float) -> set[Why]:
        if state is not CaptureState.WAITING or not self.rates.bits_per_s:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        if state is CaptureState.FULL:
            return {Why.NO_ROOM}
        if self._waits_since is not None and now - self._waits_since > CALM_S:
            return {Why.NOTHING_KEPT}
        return {Why.LATE} if late_s > ALARM_S else set()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One track of which frames were kept. last_at: server UTC of the last; stored: UTC until which its segments are in
    the object store, None before the first is."""

    last_at: float
    stored: float | None


def stored_up_to(tracks: Iterable[Kept]) -> float | None:
    """Everything kept of these tracks before this moment is stored; None before anything is.

    A track that has been silent since its last piece was stored keeps nobody back; one of which nothing is stored yet
    keeps everybody back. A segment may end while a chunk of its track is still being filled.
    """
    tracks = list(tracks)
    behind = [track.stored for track in tracks if track.stored is None or track.stored < track.last_at]
    if not behind:
        return max((track.last_at for track in tracks), default=None)
    known = [moment for moment in behind if moment is not None]
    return min(known) - CHUNK_S if len(known) == len(behind) else None
