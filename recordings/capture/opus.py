"""Opus: every RTP payload is a frame of its own (RFC 7587), and what a file says of it first (RFC 7845)."""

from __future__ import annotations

import struct

from recordings.capture.assembly import EncodedFrame, MediaPacket

OPUS_HEAD = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
"""RFC 7845 §5.1."""
OPUS_SEEK_PRE_ROLL_NS = 80_000_000
"""RFC 7845 §4.6."""


class OpusAssembly:
    """Every packet with a payload is a frame of its own and can be decoded without another."""

    wants_key_frame = False

    def add(self, packet: MediaPacket) -> EncodedFrame | None:
        if not packet.payload:
            return None
        return EncodedFrame(timestamp=packet.timestamp, data=packet.payload, key=True)

    def lost(self) -> None:
        """Nothing refers to a lost frame."""

    def preface(self, payload: bytes) -> tuple[()]:
        """A packet says everything itself."""
        return ()

    def flush(self) -> None:
        """Nothing whole ever waits here."""
