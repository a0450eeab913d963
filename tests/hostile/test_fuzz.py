"""Mutated captures, feedback and offers: nothing raises, nothing grows without end, nothing runs backwards.

    FUZZ_CASES=2000000 FUZZ_SEED=7 pytest tests/hostile/test_fuzz.py     the long form

A failing case is named by its seed, which alone makes it again.
"""

from __future__ import annotations

import base64
import os
import random
import re
import struct
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest
from aiortc.sdp import SessionDescription

from app.room import peer, sdp
from app.room.forward import (
    HISTORY_PACKETS,
    KEY_FRAME_PAUSE_S,
    MOST_REPAIRS_PER_TICK,
    Forwarder,
    OutgoingFormat,
    Source,
)
from app.room.negotiation import choose
from app.room.offers import PeerError, read_offer
from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.capture.h264 import H264Assembly, h264_setup, h264_size, h264_starts_key_frame, units_of
from recordings.capture.h264_sets import MOST_SET_BYTES, ParameterSets, read_sps
from recordings.capture.reception import Reception
from recordings.capture.red import read_red
from recordings.capture.reorder import MOST_MISSING, MOST_WAITING
from recordings.capture.rtp import read_header
from recordings.capture.vp8 import vp8_descriptor, vp8_size, vp8_starts_key_frame
from recordings.model import Codec, StreamKind, TrackKind
from tests.app.loopback import BOTH, HERE, Collected, offering
from tests.hostile.captures import (
    CAPTURES,
    EVERYTHING,
    PPS,
    SPS,
    Bounded,
    disturbed,
    formats,
    is_report,
    mutated,
)

ALL_CASES = int(os.environ.get("FUZZ_CASES", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "5"))
VIDEO_SSRC, VIDEO_RTX_SSRC, SOUND_SSRC = 100, 101, 102


def cases(share: float) -> range:
    """Seeds, by a share of all cases that goes by what one costs."""
    count = round(share * ALL_CASES)
    return range(SEED * count, (SEED + 1) * count)


class Publisher:
    """One whose packets are disturbed, at a time that jumps."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now, self.sent = chance, chance.random() * 100, list[bytes]()
        self.codec = chance.choice((Codec.VP8, Codec.H264))
        sets = [mutated(unit, chance) for unit in (SPS, PPS)] if chance.random() < 0.2 else []
        self.reception = Reception(
            formats(self.codec, *sets),
            Bounded(),
            ssrc=9,
            send=self.sent.append,
            now=lambda: self.now,
            utc=lambda: 1e9 + self.now,
        )
        self.packets = disturbed(CAPTURES[self.codec], chance)

    def give(self, packet: bytes) -> None:
        (self.reception.on_rtcp if is_report(packet) else self.reception.on_rtp)(packet)

    def time_passes(self) -> None:
        self.now += self.chance.choice((0.001, 0.07, 0.5, 3.0))
        self.reception.settle()
        self.reception.tick()


def receive(seed: int) -> None:
    publisher = Publisher(random.Random(seed))
    reception = publisher.reception
    for packet in publisher.packets:
        publisher.give(packet)
        if publisher.chance.random() < 0.2:
            publisher.time_passes()
    reception.release(frozenset(TrackKind))
    for track in reception._tracks.values():
        assert len(track.buffer._waiting) <= MOST_WAITING and len(track.buffer._missing) <= MOST_MISSING
    assert sum(map(len, publisher.sent)) < 60_000
    for message in publisher.sent:
        assert 8 <= len(message) < 1_200


class Viewer:
    """One who says anything. told: what he was sent, by SSRC and 16-bit number; known: what there is to be sent."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher, self._chance = publisher, publisher.chance
        self.told: dict[int, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        self.known: set[bytes] = set()
        self.wishes: list[float] = []
        self.again = 0
        self._asking = False
        self.source = Source(self._wish, publisher.reception.preface, lambda: publisher.now)
        rtx = (VIDEO_RTX_SSRC, 98) if self._chance.random() < 0.8 else (None, None)
        video = OutgoingFormat(
            codec=publisher.codec, ssrc=VIDEO_SSRC, payload_type=96, rtx_ssrc=rtx[0], rtx_payload_type=rtx[1]
        )
        sound = OutgoingFormat(codec=Codec.OPUS, ssrc=SOUND_SSRC, payload_type=111)
        self.forwarder = Forwarder(
            {TrackKind.CAMERA: video, TrackKind.VOICE: sound},
            source=self.source,
            send_rtp=self._sent,
            send_rtcp=self._reported,
        )
        self.source.forwarders.append(self.forwarder)

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None:
        self.known.add(packet.payload)
        if kind.is_video:
            self.known.update(self._publisher.reception.preface(kind, packet.payload) if packet.payload else ())
        self.source.packet(kind, packet)

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None:
        self.source.report(kind, report)

    def says(self) -> bytes:
        """Asks for what he got, for what he cannot have got, for key frames; often broken."""
        said = b""
        for _ in range(self._chance.randrange(1, 4)):
            ssrc = self._chance.choice((VIDEO_SSRC, VIDEO_SSRC, SOUND_SSRC, VIDEO_RTX_SSRC, 0))
            got = [*self.told.get(ssrc, ()), self._chance.randrange(1 << 16)]
            asked = [
                struct.pack("!HH", self._chance.choice(got), self._chance.choice((0, 0x8001, 0xFFFF))) for _ in range(2)
            ] * self._chance.choice((1, 1, 1, 40))
            said += self._chance.choice(
                (
                    struct.pack("!BBHLL", 0x81, 205, 2 + len(asked), 1, ssrc) + b"".join(asked),
                    rtcp.picture_loss(1, ssrc),
                    struct.pack("!BBHLLLL", 0x84, 206, 4, 1, 0, ssrc, 0),
                )
            )
        return mutated(said, self._chance) if self._chance.random() < 0.5 else said

    def asks(self) -> None:
        self._asking = True
        self.forwarder.feedback(self.says())
        self._asking = False

    def tick(self) -> None:
        self.again = 0
        self.forwarder.tick()

    def _wish(self) -> None:
        self.wishes.append(self._publisher.now)
        self._publisher.reception.request_key_frame()

    def _sent(self, packet: bytes) -> None:
        header = read_header(packet)
        assert header is not None and header.ssrc in (VIDEO_SSRC, VIDEO_RTX_SSRC, SOUND_SSRC)
        ssrc, number, payload = header.ssrc, header.sequence, header.payload
        if ssrc == VIDEO_RTX_SSRC:
            assert self._asking and len(payload) >= 2
            ssrc, number, payload = VIDEO_SSRC, int.from_bytes(payload[:2], "big"), payload[2:]
        if self._asking:
            self.again += 1
            assert self.again <= MOST_REPAIRS_PER_TICK
        elif payload:
            self.told[ssrc][number].add(payload)
        assert payload in self.known
        if self._asking and payload and number in self.told[ssrc]:
            assert payload in self.told[ssrc][number], "under its number something else"

    def _reported(self, packet: bytes) -> None:
        [report] = rtcp.read(packet)
        assert isinstance(report, rtcp.SenderInfo) and report.ssrc in (VIDEO_SSRC, SOUND_SSRC)


def view(seed: int) -> None:
    publisher = Publisher(random.Random(seed))
    viewer = Viewer(publisher)
    publisher.reception.taps.append(viewer)
    for packet in publisher.packets:
        publisher.give(packet)
        if publisher.chance.random() < 0.2:
            viewer.asks()
        if publisher.chance.random() < 0.2:
            publisher.time_passes()
            viewer.tick()
    assert all(later - earlier >= KEY_FRAME_PAUSE_S for earlier, later in pairwise(viewer.wishes))
    for kind in formats(publisher.codec):
        assert len(viewer.source.history(kind.kind)) <= HISTORY_PACKETS[kind.kind.is_video]


def parse(seed: int) -> None:
    chance = random.Random(seed)
    packet = mutated(chance.choice(EVERYTHING), chance)
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
        h264_starts_key_frame(payload)
        assert all(0 <= side < 16_384 for side in h264_size(payload))
        assert sum(map(len, units_of(payload))) <= len(payload)
        h264_setup(payload)
    units = [mutated(unit, chance) for unit in (SPS, PPS, SPS)]
    sets, assembly = ParameterSets(), H264Assembly(units)
    for number, unit in enumerate([*units, packet[12:]]):
        sps = read_sps(unit)
        assert sps is None or (0 < sps.width < 16_384 and 0 < sps.height < 16_384)
        sets.take(unit)
        assembly.add(MediaPacket(number, 3_000, number == 3, unit))
    assert sum(map(len, sets.units())) <= MOST_SET_BYTES


@pytest.mark.parametrize(("case", "share"), [(receive, 0.25), (parse, 0.4), (view, 0.1)])
def test_mutated_captures(case: Callable[[int], None], share: float) -> None:
    for seed in cases(share):
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


async def an_offer(codec: str) -> str:
    """Of H.264 alone with its parameter sets, as devices send it (RFC 6184 §8.1)."""
    pc, _, _, offer = await offering(codec)
    await pc.close()
    if not codec:
        return offer
    sets = ",".join(base64.b64encode(unit).decode() for unit in (SPS, PPS))
    return re.sub(r"(a=fmtp:\d+ .*packetization-mode=1\S*)", rf"\1;sprop-parameter-sets={sets}", offer)


async def test_mutated_offers() -> None:
    """As text by the thousand, and some of them through aiortc's parser, which raises nearly anything."""
    offers = [await an_offer(""), await an_offer("H264")]
    for seed in cases(0.25):
        changed = mutated_offer(offers[seed % 2], random.Random(seed))
        try:
            for section in read_offer(changed, sends=True):
                choice = choose(section)
                assert choice is None or all(choice.sets)
            prepared = sdp.prepare_offer(changed, HERE)
        except PeerError:
            continue
        except Exception as broken:
            raise AssertionError(f"offer {seed}") from broken
        assert named(prepared) <= {("127.0.0.1", 9)}, f"offer {seed}"
    for seed in cases(0.01):
        try:
            publication = await peer.publish(
                mutated_offer(offers[seed % 2], random.Random(seed)),
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
