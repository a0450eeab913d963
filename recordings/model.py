"""Frozen values that pass between the stages: frames -> chunks -> segments -> index.

A *recording* is what one person's stream left in one session. Each publication of the stream
(a WHIP resource, RFC 9725) is a *take*, numbered from 1 inside the recording; a cut network or a
restarted media process adds a take, never a recording. A *track* is one line of a recording and
owns its key; withdrawing a consent closes the track, consenting again opens another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

AccountId = NewType("AccountId", UUID)
SessionId = NewType("SessionId", UUID)
PersonId = NewType("PersonId", UUID)
RecordingId = NewType("RecordingId", UUID)
TrackId = NewType("TrackId", UUID)


class StreamKind(StrEnum):
    """What is published together over one peer connection."""

    CAMERA = "camera"
    SCREEN = "screen"


class TrackKind(StrEnum):
    """One line of a recording."""

    CAMERA = "camera"
    VOICE = "voice"
    SCREEN = "screen"
    SCREEN_SOUND = "screen_sound"

    is_video: bool
    clock_rate: int
    """RTP ticks per second: 90 000 for video (RFC 7741 §4.1, RFC 6184 §5.1), 48 000 for Opus (RFC 7587 §4.1)."""

    def __init__(self, value: str) -> None:
        self.is_video = value in ("camera", "screen")
        self.clock_rate = 90_000 if self.is_video else 48_000

    __hash__ = str.__hash__  # an enum's own is written in Python, and every packet is looked up by its kind


class Codec(StrEnum):
    """How the frames of a take are encoded; what is known of each stands in capture/codecs.py."""

    VP8 = "vp8"
    H264 = "h264"
    OPUS = "opus"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a decoder must know before the first frame, as the header of a file says it. Codecs whose key frames say
    everything themselves (VP8, Opus) have none."""

    codec: Codec
    private: bytes


STREAM_TRACKS: dict[StreamKind, tuple[TrackKind, TrackKind]] = {
    StreamKind.CAMERA: (TrackKind.CAMERA, TrackKind.VOICE),
    StreamKind.SCREEN: (TrackKind.SCREEN, TrackKind.SCREEN_SOUND),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingRef:
    """Where a recording lives: everything under one prefix per person and session."""

    account: AccountId
    session: SessionId
    person: PersonId
    recording: RecordingId
    kind: StreamKind


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackRef:
    """One track of a recording; every sealed chunk is bound to all of these ids."""

    of: RecordingRef
    track: TrackId
    kind: TrackKind


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One encoded frame as the sender made it; it is never decoded on the way to storage.

    ticks: RTP timestamp unwrapped to a 64-bit count that only grows inside a take
    (units of `TrackKind.clock_rate`); arrived_at: server UTC in seconds, of its last packet;
    width, height, setup: of video key frames.
    """

    kind: TrackKind
    ticks: int
    data: bytes
    key: bool
    arrived_at: float
    width: int = 0
    height: int = 0
    setup: Setup | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderReport:
    """RTCP sender report (RFC 3550 §6.4.1): the sender's NTP clock at an RTP timestamp.

    ntp: seconds since 1900 on the sender's clock; ticks: unwrapped like `Frame.ticks`;
    arrived_at: server UTC in seconds.
    """

    kind: TrackKind
    ntp: float
    ticks: int
    arrived_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """Frames that never came: lost on the network and not repaired in time. From the last frame before to the first one
    after. places: how many such stretches are told as one, when they were too many; kept_ticks: from the end of one to
    the beginning of the next, of all of them."""

    kind: TrackKind
    from_ticks: int
    to_ticks: int
    places: int = 1
    kept_ticks: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkEntry:
    """What the journal knows of one sealed chunk; enough to place it in a WebM without opening it.

    offset, sealed_bytes: place inside the segment object; block_bytes: length of the SimpleBlocks
    once opened; first_ticks/last_ticks: of the first and last frame.
    """

    take: int
    index: int
    segment: int
    offset: int
    sealed_bytes: int
    block_bytes: int
    first_ticks: int
    last_ticks: int
    frames: int
    starts_with_key: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSummary:
    """What finalising tells the database of one track."""

    track: TrackId
    kind: TrackKind
    frames: int
    bytes: int
    duration_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A stretch of the recording's own timeline (ms from its start) with nothing stored, and why.
    kind: what alone is missing while the rest goes on; None: everything."""

    from_ms: int
    to_ms: int
    why: str  # "not connected" | "paused" | "lost on the network" | "interrupted"
    kind: TrackKind | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSummary:
    """What finalising tells the database: the recording can be played from now on.

    started_at: UTC seconds of the timeline's zero on the server's clock (the session clock).
    """

    generation: int
    object_key: str
    started_at: float
    duration_ms: int
    interrupted: bool
    tracks: tuple[TrackSummary, ...]
    gaps: tuple[Gap, ...] = field(default=())
