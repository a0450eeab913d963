"""What a publisher sends, as packets to be changed: VP8 and H.264 pictures, redundant sound, repairs, reports."""

from __future__ import annotations

import random
import struct

from recordings.capture.h264 import units_of
from recordings.capture.incoming_track import TrackFormat
from recordings.model import Codec, Frame, Hole, SenderReport, TrackKind

VIDEO, RTX, OPUS, RED = 96, 97, 111, 63
FIRST = 65_530  # so that numbers wrap around
VP8_KEY = b"\x90\x80\x81\x23\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01" + bytes(range(40))
VP8_DELTA = b"\x90\x80\x81\x24\x11\x02\x00" + bytes(range(30))
SPS = bytes.fromhex("6742c00ada11e840000003004000000f23c489a8")  # 64 x 48, by libx264
PPS = bytes.fromhex("68ce0fc8")
SCALED_SPS = bytes.fromhex("6764000aacd9444e84000003000400000300f03c4896580000")
IDR = b"\x65\x88" + bytes(range(50))
SLICE = b"\x41\x9a" + bytes(range(30))


def rtp(sequence: int, timestamp: int, payload: bytes, *, pt: int, ssrc: int, marker: bool = True) -> bytes:
    return struct.pack("!BBHLL", 0x80, marker << 7 | pt, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def together(*units: bytes) -> bytes:
    """STAP-A (RFC 6184 §5.7.1)."""
    return b"\x78" + b"".join(struct.pack("!H", len(unit)) + unit for unit in units)


def torn(unit: bytes, into: int) -> list[bytes]:
    """FU-A (RFC 6184 §5.8)."""
    size = -(-(len(unit) - 1) // into)
    parts = [unit[at : at + size] for at in range(1, len(unit), size)]
    flags = [0x80, *[0] * (len(parts) - 2), 0x40]
    return [bytes((unit[0] & 0xE0 | 28, flag | unit[0] & 31)) + part for flag, part in zip(flags, parts, strict=True)]


def pictures(codec: Codec) -> list[list[bytes]]:
    """The payloads of each: key frames of several packets, and what refers to them."""
    if codec is Codec.VP8:
        return [[VP8_KEY, b"\x10" + VP8_KEY], *[[VP8_DELTA]] * 8]
    key, again = [together(SPS, PPS), *torn(IDR, 3)], [SCALED_SPS, PPS, IDR]
    return [key, [SLICE], torn(SLICE, 2), [together(SLICE, SLICE)], [IDR], [SLICE], again, [SLICE], [SLICE, SLICE]]


def capture(codec: Codec) -> list[bytes]:
    packets, sequence = [], FIRST
    for n, payloads in enumerate(pictures(codec)):
        for payload in payloads:
            last = payload is payloads[-1]
            packets.append(rtp(sequence, 3_000 * n, payload, pt=VIDEO, ssrc=1, marker=last))
            sequence += 1
        sound = struct.pack("!L", (0x80 | OPUS) << 24 | 960 << 10 | 5) + bytes([OPUS]) + b"sound" + b"more sound"
        packets.append(rtp(9 + n, 960 * n, sound, pt=RED, ssrc=2))
    packets.append(rtp(5, 3_000, struct.pack("!H", FIRST + 3) + pictures(codec)[1][0], pt=RTX, ssrc=3))
    packets.append(struct.pack("!BBHLQLLL", 0x80, 200, 6, 1, 0xE0000000 << 32, 3_000, 9, 900))
    packets.append(struct.pack("!BBHLL", 0x81, 205, 3, 1, 9) + struct.pack("!HH", 17, 0x8001))
    return packets


CAPTURES = {codec: capture(codec) for codec in (Codec.VP8, Codec.H264)}
EVERYTHING = [packet for packets in CAPTURES.values() for packet in packets]


def formats(codec: Codec, *sets: bytes) -> tuple[TrackFormat, ...]:
    """What such a publisher agreed to. sets: what signalling told of the decoder."""
    return (
        TrackFormat(kind=TrackKind.CAMERA, codec=codec, payload_type=VIDEO, rtx_payload_type=RTX, sets=sets),
        TrackFormat(kind=TrackKind.VOICE, codec=Codec.OPUS, payload_type=OPUS, red_payload_type=RED),
    )


def is_report(packet: bytes) -> bool:
    """RFC 5761 §4."""
    return len(packet) > 1 and 192 <= packet[1] <= 223


def mutated(packet: bytes, chance: random.Random) -> bytes:
    data = bytearray(packet)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data)) if data else 0
        match chance.randrange(6):
            case 0 if data:
                data[place] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del data[place:]
            case 3:
                data[place:place] = chance.randbytes(chance.randrange(1, 9))
            case 4 if len(data) > 4:
                data[2:4] = chance.randbytes(2)  # sequence number, or length of a report
            case _:
                data += chance.randbytes(chance.randrange(1, 40))
    return bytes(data)


def disturbed(packets: list[bytes], chance: random.Random) -> list[bytes]:
    """Some doubled, lost, out of order or changed."""
    packets = list(packets)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(packets))
        match chance.randrange(5):
            case 0:
                packets.insert(place, packets[chance.randrange(len(packets))])
            case 1:
                del packets[place : place + chance.randrange(1, 4)]
            case 2:
                packets[place:] = chance.sample(packets[place:], len(packets) - place)
            case _:
                packets[place] = mutated(packets[place], chance)
    return packets


class Bounded:
    """A sink that knows what must always hold."""

    def __init__(self) -> None:
        self.last: dict[TrackKind, int] = {}

    def frame(self, frame: Frame) -> None:
        assert frame.data and frame.ticks > self.last.get(frame.kind, frame.ticks - 1)
        self.last[frame.kind] = frame.ticks
        if frame.setup is not None:
            assert frame.key and frame.setup.codec is Codec.H264 and frame.setup.private
            assert sum(len(unit) + 4 for unit in units_of(frame.data)) == len(frame.data)

    def hole(self, hole: Hole) -> None:
        assert hole.to_ticks > hole.from_ticks

    def sender_report(self, report: SenderReport) -> None:
        assert report.ntp > 0
