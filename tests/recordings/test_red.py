"""Redundant sound (RFC 2198) fills holes and nothing else."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtp import RtcpRtpfbPacket
from hypothesis import given
from hypothesis import strategies as st

from recordings.capture.incoming_track import AUDIO_PATIENCE_S
from tests.recordings.reception_scene import OPUS, RED, Scene, rtp


def red(*blocks: tuple[int, bytes], primary: bytes, pt: int = OPUS) -> bytes:
    """RFC 2198 §3: blocks are (offset, data), oldest first."""
    heads = b"".join(struct.pack("!L", (0x80 | pt) << 24 | offset << 10 | len(data)) for offset, data in blocks)
    return heads + bytes([pt]) + b"".join(data for _, data in blocks) + primary


def redundant(count: int, *, lost: set[int]) -> Scene:
    """Sound with RED of distance 1, without the packets that are lost."""
    scene = Scene()
    for n in range(1, count + 1):
        before = [(960, b"sound%d" % (n - 1))] if n > 1 else []
        if n not in lost:
            payload = red(*before, primary=b"sound%d" % n)
            scene.take(rtp(n, payload=payload, pt=RED, timestamp=960 * n, ssrc=2))
    return scene


def test_a_lost_packet_of_redundant_sound_is_in_the_next_one_and_not_asked_for() -> None:
    scene = redundant(6, lost={3, 5})
    assert [frame.data for frame in scene.frames] == [b"sound%d" % n for n in range(1, 7)]
    assert [frame.ticks - scene.frames[0].ticks for frame in scene.frames] == [960 * n for n in range(6)]
    assert scene.holes == [] and scene.answers(RtcpRtpfbPacket) == []


def test_what_redundancy_cannot_fill_is_asked_for() -> None:
    scene = redundant(6, lost={3, 4})
    (nack,) = scene.answers(RtcpRtpfbPacket)
    assert isinstance(nack, RtcpRtpfbPacket) and nack.lost == [3]
    assert [frame.data for frame in scene.frames] == [b"sound1", b"sound2"]
    scene.pass_time(AUDIO_PATIENCE_S + 0.1)
    assert [frame.data for frame in scene.frames][2:] == [b"sound4", b"sound5", b"sound6"]
    assert len(scene.holes) == 1


def test_redundant_sound_reaches_viewers_as_plain_sound_each_frame_once() -> None:
    scene = Scene()
    scene.reception.taps.append(scene)
    for packet in (1, 2, 4):
        payload = red((960, b"sound%d" % (packet - 1)), primary=b"sound%d" % packet)
        scene.take(rtp(packet, payload=payload, pt=RED, timestamp=960 * packet, ssrc=2))
    assert [(packet.sequence, packet.payload) for _, packet in scene.tapped] == [
        (1, b"sound1"),
        (2, b"sound2"),
        (4, b"sound4"),
        (3, b"sound3"),
    ]


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80", b"\xef\x00\x00\x01", b"\xef\x03\xc3\xff\x6f" + b"short", red(primary=b"x", pt=5), b"\xff" * 80],
)
def test_redundancy_that_makes_no_sense_is_ignored(payload: bytes) -> None:
    scene = Scene()
    scene.take(rtp(1, payload=payload, pt=RED, ssrc=2))
    assert scene.frames == [] and scene.reception.ignored == 1


@given(st.binary(max_size=60))
def test_no_redundancy_raises(payload: bytes) -> None:
    scene = Scene()
    scene.take(rtp(1, payload=b"a", pt=OPUS, ssrc=2), rtp(4, payload=payload, pt=RED, ssrc=2))
