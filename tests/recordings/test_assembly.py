"""Packets in order become frames; whatever refers to a lost frame is held back."""

from __future__ import annotations

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from recordings.capture.assembly import MAX_FRAME_BYTES, EncodedFrame, MediaPacket
from recordings.capture.opus import OpusAssembly
from recordings.capture.vp8 import Vp8Assembly, vp8_descriptor, vp8_size, vp8_starts_key_frame

KEY = b"\x10\x02\x00\x9d\x01\x2a" + (640).to_bytes(2, "little") + (360 | 0x4000).to_bytes(2, "little") + b"key"
DELTA = b"\x11\x02\x00delta"
START, MIDDLE = b"\x10", b"\x00"


def packet(sequence: int, payload: bytes, *, timestamp: int = 0, marker: bool = True) -> MediaPacket:
    return MediaPacket(sequence, timestamp, marker, payload)


def test_a_key_frame_tells_its_size() -> None:
    frame = Vp8Assembly().add(packet(1, START + KEY, timestamp=7))
    assert frame == EncodedFrame(timestamp=7, data=KEY, key=True, width=640, height=360)


def test_a_frame_of_three_packets_is_put_together() -> None:
    assembly = Vp8Assembly()
    assert assembly.add(packet(1, START + KEY[:5], marker=False)) is None
    assert assembly.add(packet(2, MIDDLE + KEY[5:9], marker=False)) is None
    frame = assembly.add(packet(3, MIDDLE + KEY[9:]))
    assert frame is not None
    assert frame.data == KEY


def test_nothing_comes_before_the_first_key_frame() -> None:
    assembly = Vp8Assembly()
    assert assembly.add(packet(1, START + DELTA, timestamp=1)) is None
    assert assembly.wants_key_frame
    assert assembly.add(packet(2, START + KEY, timestamp=2)) is not None
    assert assembly.add(packet(3, START + DELTA, timestamp=3)) is not None
    assert not assembly.wants_key_frame


def test_after_a_loss_frames_are_held_back_until_a_key_frame() -> None:
    assembly = Vp8Assembly()
    assembly.add(packet(1, START + KEY, timestamp=1))
    assembly.lost()
    assert assembly.add(packet(3, START + DELTA, timestamp=3)) is None
    assert assembly.wants_key_frame
    frame = assembly.add(packet(4, START + KEY, timestamp=4))
    assert frame is not None and frame.key


def test_a_frame_that_never_ends_is_a_loss() -> None:
    assembly = Vp8Assembly()
    assembly.add(packet(1, START + KEY, timestamp=1))
    assembly.add(packet(2, START + DELTA, timestamp=2, marker=False))
    assert assembly.add(packet(3, START + DELTA, timestamp=3)) is None
    assert assembly.wants_key_frame


def test_a_frame_without_end_does_not_fill_memory() -> None:
    assembly = Vp8Assembly()
    piece = MIDDLE + b"x" * 1_400
    assembly.add(packet(0, START + KEY, marker=False))
    for sequence in range(1, MAX_FRAME_BYTES // 1_400 + 2):
        assert assembly.add(packet(sequence, piece, marker=False)) is None
    assert assembly.wants_key_frame
    assert assembly.add(packet(9_999, MIDDLE + b"end")) is None


@given(
    st.integers(0, 1),
    st.integers(0, 7),
    st.none() | st.integers(0, 0x7FFF),
    st.none() | st.integers(0, 255),
    st.none() | st.tuples(st.integers(0, 3), st.integers(0, 1)),
    st.none() | st.integers(0, 31),
)
def test_every_descriptor_is_skipped_whole(
    start: int, partition: int, picture: int | None, level: int | None, tid: tuple[int, int] | None, key: int | None
) -> None:
    descriptor = bytes(
        VpxPayloadDescriptor(
            partition_start=start, partition_id=partition, picture_id=picture, tl0picidx=level, tid=tid, keyidx=key
        )
    )
    found = vp8_descriptor(descriptor + b"payload")
    assert found is not None
    assert found.offset == len(descriptor)
    assert found.starts_frame == (start == 1 and partition == 0)


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 3), st.booleans()), max_size=30))
def test_no_payload_raises(packets: list[tuple[bytes, int, bool]]) -> None:
    assembly, sound = Vp8Assembly(), OpusAssembly()
    for sequence, (payload, timestamp, marker) in enumerate(packets):
        one = packet(sequence, payload, timestamp=timestamp, marker=marker)
        vp8_starts_key_frame(payload)
        vp8_size(payload)
        for frame in (assembly.add(one), sound.add(one)):
            assert frame is None or frame.data


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\x90\x80", b"\x90\x80\x80", b"\x10"])
def test_a_payload_that_ends_in_its_descriptor_is_none(payload: bytes) -> None:
    assert vp8_descriptor(payload) is None


def test_every_sound_packet_is_a_frame_and_an_empty_one_is_none() -> None:
    assembly = OpusAssembly()
    assert assembly.add(packet(1, b"opus", timestamp=5)) == EncodedFrame(timestamp=5, data=b"opus", key=True)
    assert assembly.add(packet(2, b"")) is None
    assembly.lost()
    assert assembly.add(packet(4, b"more")) is not None
