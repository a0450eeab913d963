"""RTP payloads in order -> whole frames: what every codec's own file does (vp8.py, h264.py, opus.py; see codecs.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from recordings.model import Setup

MAX_FRAME_BYTES = 2 << 20
"""A frame larger than this is not video of a person or a screen; it would only fill memory."""


class MediaPacket(msgspec.Struct, frozen=True, gc=False):
    """One RTP packet (RFC 3550 §5.1) without its header; sequence is unwrapped, timestamp as sent (32 bits)."""

    sequence: int
    timestamp: int
    marker: bool
    payload: bytes


class EncodedFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole frame; timestamp as sent (32 bits). width, height and setup only on video key frames."""

    timestamp: int
    data: bytes
    key: bool
    width: int = 0
    height: int = 0
    setup: Setup | None = None


class Assembly(Protocol):
    """Of one track. After a loss nothing is given out until a key frame: what refers to a missing frame would decode
    to a smeared picture; the hole is told instead. Never raises for what a sender does."""

    @property
    def wants_key_frame(self) -> bool: ...

    def add(self, packet: MediaPacket) -> EncodedFrame | None: ...

    def lost(self) -> None:
        """Packets are missing here: the frame being built is dropped."""

    def preface(self, payload: bytes) -> Sequence[bytes]:
        """RTP payloads that have to go in front of this one, the first of a key frame, for a viewer who begins there:
        what the sender told earlier, in its packets or in signalling."""

    def flush(self) -> EncodedFrame | None:
        """A frame known to be whole that only waits for the packet behind it, which may never come."""
