"""VP8: RTP payloads in order (RFC 7741) -> whole frames (RFC 6386), and what a key frame says of itself."""

from __future__ import annotations

import msgspec

from recordings.capture.assembly import MAX_FRAME_BYTES, EncodedFrame, MediaPacket


class Vp8Start(msgspec.Struct, frozen=True, gc=False):
    """The payload descriptor (RFC 7741 §4.2): where the VP8 payload begins, and if it begins a frame."""

    offset: int
    starts_frame: bool


def vp8_descriptor(payload: bytes) -> Vp8Start | None:
    """None if the payload ends inside its descriptor or right behind it."""
    size = len(payload)
    if size < 2:
        return None
    first = payload[0]
    offset = 1
    if first & 0x80:  # X: extension bits follow
        extension = payload[1]
        offset = 2
        if extension & 0x80:  # I: PictureID of 7 or 15 bits
            if offset >= size:
                return None
            offset += 2 if payload[offset] & 0x80 else 1
        if extension & 0x40:  # L: TL0PICIDX
            offset += 1
        if extension & 0x30:  # T or K: TID, Y, KEYIDX
            offset += 1
    if offset >= size:
        return None
    return Vp8Start(offset, first & 0x17 == 0x10)  # S set and PID 0


def vp8_starts_key_frame(payload: bytes) -> bool:
    """True if this packet is the first of a key frame (RFC 7741 §4.3: inverse key frame flag P)."""
    start = vp8_descriptor(payload)
    return start is not None and start.starts_frame and not payload[start.offset] & 1


def vp8_size(frame: bytes) -> tuple[int, int]:
    """Width and height from a key frame's header (RFC 6386 §9.1); (0, 0) if it is no such header."""
    if len(frame) < 10 or frame[0] & 1 or frame[3:6] != b"\x9d\x01\x2a":
        return 0, 0
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF


class Vp8Assembly:
    """Packets in order -> frames (RFC 7741 §4): each begins where its first packet says so and ends with the marker."""

    def __init__(self) -> None:
        self.wants_key_frame = True
        self._parts: list[bytes] = []
        self._bytes = 0
        self._timestamp: int | None = None

    def add(self, packet: MediaPacket) -> EncodedFrame | None:
        payload = packet.payload
        if not payload:  # padding only (bandwidth probes)
            return None
        start = vp8_descriptor(payload)
        if start is None:
            self.lost()
            return None
        if start.starts_frame and packet.timestamp != self._timestamp:
            if self._parts:  # the frame before never got its marker
                self.lost()
            key = not payload[start.offset] & 1
            if self.wants_key_frame and not key:
                return None
            self._timestamp = packet.timestamp
            self.wants_key_frame = False
        elif self._timestamp is None:
            return None  # inside a frame that is not being kept
        elif packet.timestamp != self._timestamp:
            self.lost()
            return None
        self._parts.append(payload[start.offset :])
        self._bytes += len(payload)
        if self._bytes > MAX_FRAME_BYTES:
            self.lost()
            return None
        return self._finish() if packet.marker else None

    def lost(self) -> None:
        """Packets are missing here: the frame being built is dropped and a key frame is needed."""
        self._drop()
        self.wants_key_frame = True

    def preface(self, payload: bytes) -> tuple[()]:
        """A key frame says everything itself."""
        return ()

    def flush(self) -> None:
        """Nothing whole ever waits here."""

    def _drop(self) -> None:
        self._parts = []
        self._bytes = 0
        self._timestamp = None

    def _finish(self) -> EncodedFrame:
        data = b"".join(self._parts)
        timestamp = self._timestamp or 0
        self._drop()
        key = not data[0] & 1
        if not key:
            return EncodedFrame(timestamp=timestamp, data=data, key=False)
        width, height = vp8_size(data)
        return EncodedFrame(timestamp=timestamp, data=data, key=True, width=width, height=height)
