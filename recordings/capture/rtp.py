"""RTP packets (RFC 3550 §5.1): bytes <-> values, never raising. Their contents are each codec's own business."""

from __future__ import annotations

from struct import Struct

import msgspec

_FIXED_HEADER = Struct("!BBHLL").unpack_from


class Header(msgspec.Struct, frozen=True, gc=False):
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_header(packet: bytes) -> Header | None:
    """RFC 3550 §5.1 and §5.3.1; None if the packet is shorter than it claims."""
    size = len(packet)
    if size < 12:
        return None
    first, second, sequence, timestamp, ssrc = _FIXED_HEADER(packet)
    start = 12 + 4 * (first & 15)
    if first & 16:  # header extension
        if start + 4 > size:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    end = size - packet[-1] if first & 32 else size  # padding
    if start > end:
        return None
    return Header(
        second > 127,
        second & 127,
        sequence,
        timestamp,
        ssrc,
        packet[start:end],
    )


def rtp_packet(*, payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """RFC 3550 §5.1, without extensions: the SSRC is signalled, so no viewer needs MID."""
    return (
        bytes((0x80, marker << 7 | payload_type))
        + (sequence & 0xFFFF).to_bytes(2, "big")
        + timestamp.to_bytes(4, "big")
        + ssrc.to_bytes(4, "big")
        + payload
    )
