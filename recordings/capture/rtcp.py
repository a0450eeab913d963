"""RTCP in and out (RFC 3550 §6, RFC 4585, REMB draft-alvestrand-rmcat-remb): bytes <-> values, never raising.

A compound packet that is cut short or lies about its lengths yields the parts that were whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 200, 201, 202, 205, 206
NACK, PLI, FIR, APPLICATION = 1, 1, 4, 15
MOST_NACK_BLOCKS = 250
"""FCI words in one message; keeps it below the path MTU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderInfo:
    """RFC 3550 §6.4.1. ntp: 32.32 fixed point; timestamp: RTP, 32 bits."""

    ssrc: int
    ntp: int
    timestamp: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Nack:
    """RFC 4585 §6.2.1: these 16-bit sequence numbers are asked for again."""

    ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFrameRequest:
    """PLI (RFC 4585 §6.3.1) or FIR (RFC 5104 §4.3.1)."""

    ssrc: int


Message = SenderInfo | Nack | KeyFrameRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportBlock:
    """What a receiver report says of one SSRC (RFC 3550 §6.4.1); delay in 1/65,536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


def read(packet: bytes) -> Iterator[Message]:
    """The messages of a compound packet that matter to a recorder or a forwarder."""
    position = 0
    while position + 8 <= len(packet):
        count = packet[position] & 31
        kind = packet[position + 1]
        end = position + 4 + 4 * int.from_bytes(packet[position + 2 : position + 4], "big")
        if packet[position] >> 6 != 2 or end > len(packet):
            return
        body = packet[position + 4 : end]
        if kind == SENDER_REPORT and len(body) >= 24:
            ssrc, ntp, timestamp = struct.unpack_from("!LQL", body)
            yield SenderInfo(ssrc=ssrc, ntp=ntp, timestamp=timestamp)
        elif kind == TRANSPORT_FEEDBACK and count == NACK and len(body) >= 12:
            yield Nack(ssrc=int.from_bytes(body[4:8], "big"), sequences=tuple(_asked(body[8:])))
        elif kind == PAYLOAD_FEEDBACK and count == PLI and len(body) >= 8:
            yield KeyFrameRequest(ssrc=int.from_bytes(body[4:8], "big"))
        elif kind == PAYLOAD_FEEDBACK and count == FIR and len(body) >= 16:
            yield KeyFrameRequest(ssrc=int.from_bytes(body[8:12], "big"))
        position = end


def _asked(blocks: bytes) -> Iterator[int]:
    for offset in range(0, len(blocks) - 3, 4):
        first, more = struct.unpack_from("!HH", blocks, offset)
        yield first
        for bit in range(16):
            if more >> bit & 1:
                yield (first + bit + 1) & 0xFFFF


def nack(sender: int, ssrc: int, sequences: Sequence[int]) -> Iterator[bytes]:
    """Generic NACKs for sequence numbers in rising order (unwrapped or not), as few messages as fit."""
    blocks: list[bytes] = []
    i = 0
    while i < len(sequences):
        first = sequences[i]
        more = 0
        i += 1
        while i < len(sequences) and 0 < (sequences[i] - first) & 0xFFFF <= 16:
            more |= 1 << (((sequences[i] - first) & 0xFFFF) - 1)
            i += 1
        blocks.append(struct.pack("!HH", first & 0xFFFF, more))
    for start in range(0, len(blocks), MOST_NACK_BLOCKS):
        some = blocks[start : start + MOST_NACK_BLOCKS]
        yield struct.pack("!BBHLL", 0x80 | NACK, TRANSPORT_FEEDBACK, 2 + len(some), sender, ssrc) + b"".join(some)


def picture_loss(sender: int, ssrc: int) -> bytes:
    """RFC 4585 §6.3.1: a key frame is needed."""
    return struct.pack("!BBHLL", 0x80 | PLI, PAYLOAD_FEEDBACK, 2, sender, ssrc)


def receiver_report(sender: int, blocks: Sequence[ReportBlock]) -> bytes:
    """RFC 3550 §6.4.2; a report has 31 blocks at most."""
    body = b"".join(
        struct.pack(
            "!LLLLLL",
            block.ssrc,
            block.fraction_lost << 24 | max(-0x800000, min(block.lost, 0x7FFFFF)) & 0xFFFFFF,
            block.highest & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_report,
            block.delay & 0xFFFFFFFF,
        )
        for block in blocks[:31]
    )
    return struct.pack("!BBHL", 0x80 | len(blocks[:31]), RECEIVER_REPORT, 1 + len(body) // 4, sender) + body


def allowed_bitrate(sender: int, bits_per_second: int, ssrcs: Iterable[int]) -> bytes:
    """REMB: the sender may use up to this much for these SSRCs together."""
    listed = tuple(ssrcs)
    exponent = max(0, bits_per_second.bit_length() - 18)
    mantissa = bits_per_second >> exponent
    return (
        struct.pack("!BBHLL", 0x80 | APPLICATION, PAYLOAD_FEEDBACK, 4 + len(listed), sender, 0)
        + b"REMB"
        + struct.pack("!BBH", len(listed), exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
        + b"".join(struct.pack("!L", ssrc) for ssrc in listed)
    )


def sender_report(info: SenderInfo, *, packets: int, octets: int, cname: str) -> bytes:
    """A sender report and who sends it."""
    report = struct.pack(
        "!BBHLQLLL",
        0x80,
        SENDER_REPORT,
        6,
        info.ssrc,
        info.ntp,
        info.timestamp,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return report + source_description(info.ssrc, cname)


def source_description(ssrc: int, cname: str) -> bytes:
    """What every compound packet needs behind its report (RFC 3550 §6.1, §6.5)."""
    name = cname.encode()[:255]
    chunk = struct.pack("!LBB", ssrc, 1, len(name)) + name
    chunk += b"\0" * (4 - len(chunk) % 4)
    return struct.pack("!BBH", 0x81, SOURCE_DESCRIPTION, len(chunk) // 4) + chunk
