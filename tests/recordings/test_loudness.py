"""A microphone's level comes from the header extension the sender wrote, and from nothing else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.capture.loudness import SILENCE_DBOV, Loudness, audio_level, mean_dbov
from recordings.capture.rtp import read_header

LEVEL = 5


def packet(extensions: bytes, *, profile: int = 0xBEDE, sources: int = 0, payload: bytes = b"opus") -> bytes:
    padded = extensions + bytes(-len(extensions) % 4)
    header = struct.pack("!BBHLL", 0x90 | sources, 111, 1, 2, 3) + bytes(4 * sources)
    return header + struct.pack("!HH", profile, len(padded) // 4) + padded + payload


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (packet(bytes([LEVEL << 4, 0x80 | 30])), 30),  # the first bit says that it is speech
        (packet(bytes([0x30 | 2, 1, 2, 3, 0, LEVEL << 4, 127])), 127),
        (packet(bytes([LEVEL << 4, 7]), sources=3), 7),
        (packet(bytes([3, 2, 9, 9, LEVEL, 1, 42]), profile=0x1000), 42),
        (packet(bytes([LEVEL, 0]), profile=0x1000), None),
        (packet(bytes([6 << 4, 30])), None),
        (packet(bytes([0xF0, 0, LEVEL << 4, 30])), None),  # 15 ends the list (RFC 8285 §4.2)
        (packet(b""), None),
        (packet(bytes([LEVEL << 4, 30]), profile=0xABCD), None),
        (packet(bytes([0, 0, 0, LEVEL << 4]), payload=b""), None),
    ],
)
def test_the_level_is_read_in_both_forms_and_only_when_it_is_there(said: bytes, level: int | None) -> None:
    assert audio_level(said, LEVEL) == level


@given(st.binary(max_size=60), st.sampled_from([0xBEDE, 0x1000, 0x100F, 0]), st.integers(0, 255))
def test_nothing_a_sender_writes_there_raises(junk: bytes, profile: int, extension: int) -> None:
    whole = packet(junk, profile=profile)
    assert read_header(whole)
    assert audio_level(whole, extension) in (None, *range(128))


def test_the_mean_is_one_of_power() -> None:
    loudness = Loudness(LEVEL)
    for level in (20, 20, 127, 127):
        loudness.add(packet(bytes([LEVEL << 4, level])), 4)
    assert loudness.levels == loudness.packets == 4
    assert mean_dbov(loudness.power, loudness.levels) == pytest.approx(-23.0, abs=0.02)
    assert mean_dbov(0, 4) == SILENCE_DBOV
    assert mean_dbov(0, 0) is None


def test_without_the_extension_a_pause_is_known_and_a_level_is_not() -> None:
    loudness = Loudness(None)
    loudness.add(packet(bytes([LEVEL << 4, 20])), 4)
    loudness.add(packet(b"", payload=b"\xf8"), 1)
    assert (loudness.packets, loudness.levels, loudness.pauses) == (2, 0, 1)
