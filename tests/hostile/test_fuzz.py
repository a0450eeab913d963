"""Mutated captures and offers: nothing raises, nothing grows without end, nothing runs backwards.

    FUZZ_CASES=2000000 FUZZ_SEED=7 pytest tests/hostile/test_fuzz.py     the long form

A failing case is named by its seed, which alone makes it again.
"""

from __future__ import annotations

import os
import random
import re
import struct
from collections.abc import Callable

import pytest
from aiortc.sdp import SessionDescription

from app.room import peer, sdp
from app.room.offers import PeerError, read_offer
from recordings.capture import rtcp
from recordings.capture.incoming_track import TrackFormat
from recordings.capture.reception import Reception
from recordings.capture.red import read_red
from recordings.capture.reorder import MOST_MISSING, MOST_WAITING
from recordings.capture.rtp import read_header
from recordings.capture.vp8 import vp8_descriptor, vp8_size, vp8_starts_key_frame
from recordings.model import Codec, Frame, Hole, SenderReport, StreamKind, TrackKind
from tests.app.loopback import BOTH, HERE, Collected, offering

CASES = int(os.environ.get("FUZZ_CASES", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "5"))
VP8, RTX, OPUS, RED = 96, 97, 111, 63
KEY = b"\x90\x80\x81\x23\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01" + bytes(range(40))
DELTA = b"\x90\x80\x81\x24\x11\x02\x00" + bytes(range(30))
FORMATS = (
    TrackFormat(kind=TrackKind.CAMERA, codec=Codec.VP8, payload_type=VP8, rtx_payload_type=RTX),
    TrackFormat(kind=TrackKind.VOICE, codec=Codec.OPUS, payload_type=OPUS, red_payload_type=RED),
)


def rtp(sequence: int, timestamp: int, payload: bytes, *, pt: int, ssrc: int, marker: bool = True) -> bytes:
    return struct.pack("!BBHLL", 0x80, marker << 7 | pt, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def capture() -> list[bytes]:
    """A little of everything a publisher sends: pictures of two packets, redundant sound, repairs, reports."""
    packets = [rtp(65_530, 0, KEY, pt=VP8, ssrc=1, marker=False), rtp(65_531, 0, b"\x10" + KEY, pt=VP8, ssrc=1)]
    for n in range(8):
        packets.append(rtp(65_532 + n, 3_000 * n, DELTA, pt=VP8, ssrc=1))
        sound = struct.pack("!L", (0x80 | OPUS) << 24 | 960 << 10 | 5) + bytes([OPUS]) + b"sound" + b"more sound"
        packets.append(rtp(9 + n, 960 * n, sound, pt=RED, ssrc=2))
    packets.append(rtp(5, 3_000, struct.pack("!H", 65_533) + DELTA, pt=RTX, ssrc=3))
    packets.append(struct.pack("!BBHLQLLL", 0x80, 200, 6, 1, 0xE0000000 << 32, 3_000, 9, 900))
    packets.append(struct.pack("!BBHLL", 0x81, 205, 3, 1, 9) + struct.pack("!HH", 17, 0x8001))
    return packets


CAPTURE = capture()


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


class Bounded:
    """A sink that knows what must always hold."""

    def __init__(self) -> None:
        self.last: dict[TrackKind, int] = {}

    def frame(self, frame: Frame) -> None:
        assert frame.data and frame.ticks > self.last.get(frame.kind, frame.ticks - 1)
        self.last[frame.kind] = frame.ticks

    def hole(self, hole: Hole) -> None:
        assert hole.to_ticks > hole.from_ticks

    def sender_report(self, report: SenderReport) -> None:
        assert report.ntp > 0


def receive(seed: int) -> None:
    chance = random.Random(seed)
    clock = [chance.random() * 100]
    sent: list[bytes] = []
    reception = Reception(
        FORMATS, Bounded(), ssrc=9, send=sent.append, now=lambda: clock[0], utc=lambda: 1e9 + clock[0]
    )
    packets = list(CAPTURE)
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
    for packet in packets:
        (reception.on_rtcp if len(packet) > 1 and 192 <= packet[1] <= 223 else reception.on_rtp)(packet)
        if chance.random() < 0.2:
            clock[0] += chance.choice((0.001, 0.07, 0.5, 3.0))
            reception.settle()
            reception.tick()
    reception.release(frozenset(TrackKind))
    for track in reception._tracks.values():
        assert len(track.buffer._waiting) <= MOST_WAITING and len(track.buffer._missing) <= MOST_MISSING
    assert sum(map(len, sent)) < 60_000
    for message in sent:
        assert 8 <= len(message) < 1_200


def parse(seed: int) -> None:
    chance = random.Random(seed)
    packet = mutated(chance.choice(CAPTURE), chance)
    read_header(packet)
    for message in rtcp.read(packet):
        assert message is not None
    for payload in (packet, packet[12:]):
        start = vp8_descriptor(payload)
        assert start is None or 0 < start.offset < len(payload)
        vp8_starts_key_frame(payload)
        assert all(0 <= side <= 0x3FFF for side in vp8_size(payload))
        blocks = read_red(payload)
        assert blocks is None or sum(len(block.data) for block in blocks) <= len(payload)


@pytest.mark.parametrize("case", [receive, parse])
def test_mutated_captures(case: Callable[[int], None]) -> None:
    for seed in range(SEED * CASES, SEED * CASES + CASES // 3):
        try:
            case(seed)
        except Exception as broken:
            raise AssertionError(f"{case.__name__}({seed})") from broken


def mutated_offer(offer: str, chance: random.Random) -> str:
    lines = offer.split("\r\n")
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(lines))
        match chance.randrange(8):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, lines[chance.randrange(len(lines))])
            case 2:
                lines[place] = lines[place][: chance.randrange(len(lines[place]) + 1)]
            case 3:
                lines[place] = re.sub(
                    r"\d+", str(chance.choice((-1, 0, 65_536, 1 << 70, "٣", "x"))), lines[place], count=1
                )
            case 4:
                address = chance.choice(("127.0.0.1", "::1", "169.254.169.254", "metadata.local", "10.0.0.1\x0b", ""))
                lines.insert(place, f"a=candidate:1 1 udp 2130706431 {address} 9999 typ host")
            case 5:
                lines[place] += chance.choice(
                    (" ", "\x00", "\x0b", "\u2028a=candidate:1 1 udp 1 10.0.0.1 1 typ host", "é" * 50)
                )
            case 6:
                lines[place] = lines[place].replace("=", chance.choice((":", "==", "")), 1)
            case _:
                lines = lines[place:] + lines[:place]
    return chance.choice(("\r\n", "\r\n", "\n")).join(lines)


def named(prepared: str) -> set[tuple[str, int]]:
    """The addresses aiortc reads from an offer; none where it cannot read it."""
    try:
        media = SessionDescription.parse(prepared).media
    except Exception:  # nearly anything
        return set()
    return {(candidate.ip, candidate.port) for section in media for candidate in section.ice_candidates}


async def test_mutated_offers() -> None:
    """As text by the thousand, and some of them through aiortc's parser, which raises nearly anything."""
    pc, _, _, offer = await offering()
    await pc.close()
    for seed in range(SEED * CASES, SEED * CASES + CASES // 3):
        changed = mutated_offer(offer, random.Random(seed))
        try:
            read_offer(changed, sends=True)
            prepared = sdp.prepare_offer(changed, HERE)
        except PeerError:
            continue
        except Exception as broken:
            raise AssertionError(f"offer {seed}") from broken
        assert named(prepared) <= {("127.0.0.1", 9)}, f"offer {seed}"
    for seed in range(SEED * CASES, SEED * CASES + CASES // 100):
        try:
            publication = await peer.publish(
                mutated_offer(offer, random.Random(seed)),
                kinds=BOTH,
                stream=StreamKind.CAMERA,
                offer_addresses=HERE,
                sink=Collected(),
            )
        except PeerError:
            continue
        except Exception as broken:
            raise AssertionError(f"offer {seed}") from broken
        await publication.close()
