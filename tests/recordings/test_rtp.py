"""What is read of an RTP packet, whatever it says of itself."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from recordings.capture.rtp import read_header
from tests.recordings.reception_scene import started


def test_padding_extensions_and_sources_are_not_payload() -> None:
    head = struct.pack("!BBHLL", 0x80 | 0x20 | 0x10 | 2, 96, 1, 2, 3)
    extension = struct.pack("!HHL", 0xBEDE, 1, 0)
    header = read_header(head + bytes(8) + extension + b"payload" + b"\0\0\3")
    assert header is not None
    assert header.payload == b"payload"


@given(st.binary(max_size=40), st.integers(0, 255))
def test_no_packet_raises(rest: bytes, second: int) -> None:
    scene = started()
    for packet in (b"\x80" + bytes([second]) + rest, rest):
        scene.reception.on_rtp(packet)
        scene.reception.on_rtcp(packet)
    scene.pass_time(2)
