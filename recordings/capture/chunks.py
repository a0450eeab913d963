"""A chunk: at most half a second of one track, the unit that is sealed, placed and opened.

    header  first_ticks i64 | last_ticks i64 | arrived_at f64 | frames u16 | flags u8, big-endian
    blocks  SimpleBlocks (webm.py) whose times are milliseconds from the first frame

arrived_at: server UTC of the first frame, so that a take can be put back on the timeline from its
segments alone when its journal was lost with the machine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recordings.capture.codecs import coding_of
from recordings.capture.webm import simple_block
from recordings.model import Frame, TrackKind

CHUNK_S = 0.5
_MAX_FRAMES = 4096
_MAX_BYTES = 4 << 20
_HEADER = struct.Struct(">qqdHB")
_STARTS_WITH_KEY = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """One chunk in clear."""

    first_ticks: int
    last_ticks: int
    arrived_at: float
    frames: int
    starts_with_key: bool
    blocks: bytes

    def plaintext(self) -> bytes:
        flags = _STARTS_WITH_KEY if self.starts_with_key else 0
        return _HEADER.pack(self.first_ticks, self.last_ticks, self.arrived_at, self.frames, flags) + self.blocks


def read_chunk(plaintext: bytes) -> Chunk:
    """Take an opened chunk apart. Raises ValueError when it is too short to be one."""
    if len(plaintext) < _HEADER.size:
        raise ValueError("not a chunk")
    first, last, arrived_at, frames, flags = _HEADER.unpack_from(plaintext)
    return Chunk(
        first_ticks=first,
        last_ticks=last,
        arrived_at=arrived_at,
        frames=frames,
        starts_with_key=bool(flags & _STARTS_WITH_KEY),
        blocks=plaintext[_HEADER.size :],
    )


class ChunkBeingFilled:
    """Frames of one track waiting to be sealed together."""

    def __init__(self, kind: TrackKind) -> None:
        self._kind = kind
        self._longest_ticks = CHUNK_S * kind.clock_rate
        self._number = coding_of(kind, None).number
        self._blocks: list[bytes] = []
        self._bytes = 0
        self._first: Frame | None = None
        self._last_ticks = 0

    def is_over(self, frame: Frame) -> bool:
        """Whether `frame` must start another chunk: half a second is full, or a key frame comes,
        which a player can only seek to at the start of a cluster."""
        first = self._first
        if first is None:
            return False
        return (
            (frame.key and self._kind.is_video)
            or frame.ticks - first.ticks >= self._longest_ticks
            or frame.arrived_at - first.arrived_at >= CHUNK_S
            or len(self._blocks) >= _MAX_FRAMES
            or self._bytes >= _MAX_BYTES
        )

    def is_old(self, now: float) -> bool:
        """Whether its first frame has waited half a second to be sealed, or the server's clock was set back since."""
        return self._first is not None and abs(now - self._first.arrived_at) >= CHUNK_S

    def add(self, frame: Frame) -> None:
        first = self._first = self._first or frame
        if frame.setup is not None:
            self._number = coding_of(self._kind, frame.setup).number
        at_ms = round((frame.ticks - first.ticks) * 1000 / self._kind.clock_rate)
        key = frame.key or not self._kind.is_video
        self._blocks.append(simple_block(self._number, at_ms, frame.data, key=key))
        self._bytes += len(frame.data)
        self._last_ticks = frame.ticks

    def take(self) -> Chunk | None:
        """What has been gathered, leaving nothing behind; None when that is nothing."""
        first = self._first
        if first is None:
            return None
        chunk = Chunk(
            first_ticks=first.ticks,
            last_ticks=self._last_ticks,
            arrived_at=first.arrived_at,
            frames=len(self._blocks),
            starts_with_key=first.key or not self._kind.is_video,
            blocks=b"".join(self._blocks),
        )
        self._blocks, self._bytes, self._first = [], 0, None
        return chunk
