"""What we answer is what a publisher's sender understands (aiortc's parsers judge it)."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

from recordings.capture import rtcp
from recordings.capture.bandwidth import MAX_BITS_PER_SECOND
from tests.recordings.reception_scene import DELTA, KEY, RTX, Scene, rtp, started


def test_a_missing_packet_is_asked_for_and_taken_back_by_rtx() -> None:
    scene = started()
    scene.take(rtp(5, timestamp=12_000))
    (nack,) = scene.answers(RtcpRtpfbPacket)
    assert isinstance(nack, RtcpRtpfbPacket)
    assert (nack.ssrc, nack.media_ssrc, nack.lost) == (9, 1, [3, 4])
    for sequence in (4, 3):
        original = struct.pack("!H", sequence)
        scene.take(rtp(900 + sequence, pt=RTX, ssrc=55, timestamp=3_000 * (sequence - 1), payload=original + DELTA))
    assert [frame.ticks for frame in scene.frames] == [0, 3_000, 6_000, 9_000, 12_000]


def test_who_comes_late_asks_for_a_key_frame_until_it_comes_and_not_too_often() -> None:
    scene = Scene()
    scene.take(rtp(1))
    for _ in range(40):
        scene.pass_time(0.05)
    asked = len(scene.answers(RtcpPsfbPacket))
    assert 5 <= asked <= 9  # 2 s, every 0.3 s; one REMB a second among them
    scene.take(rtp(2, payload=KEY, timestamp=3_000))
    scene.sent.clear()
    scene.pass_time(0.5)
    assert all(message.fmt != 1 for message in scene.answers(RtcpPsfbPacket) if isinstance(message, RtcpPsfbPacket))
    assert [frame.key for frame in scene.frames] == [True]


def test_a_wish_for_a_key_frame_waits_for_the_picture() -> None:
    scene = Scene()
    scene.reception.request_key_frame()
    assert scene.sent == []
    scene.take(rtp(1, payload=KEY))
    scene.pass_time(0.05)
    assert scene.answers(RtcpPsfbPacket) == []  # there it is
    scene.reception.request_key_frame()
    assert len(scene.answers(RtcpPsfbPacket)) == 1
    scene.reception.request_key_frame()
    assert len(scene.answers(RtcpPsfbPacket)) == 1  # too soon
    scene.pass_time(0.31)
    assert len(scene.answers(RtcpPsfbPacket)) == 2


def test_once_a_second_the_sender_hears_what_was_lost_and_how_much_it_may_send() -> None:
    scene = started()
    scene.take(rtp(4, timestamp=9_000))
    scene.reception.on_rtcp(struct.pack("!BBHLQLLL", 0x80, 200, 6, 1, 0x1122_3344_5566_7788, 3_000, 1, 1))
    scene.pass_time(1.0)
    (message,) = scene.answers(RtcpRrPacket)
    assert isinstance(message, RtcpRrPacket)
    assert message.reports == [
        RtcpReceiverInfo(
            ssrc=1, fraction_lost=64, packets_lost=1, highest_sequence=4, jitter=0, lsr=0x3344_5566, dlsr=65_536
        )
    ]
    (description,) = scene.answers(RtcpSdesPacket)
    assert isinstance(description, RtcpSdesPacket), "every compound packet says who sends it (RFC 3550 §6.1)"
    assert description.chunks[0].ssrc == 9 and len(description.chunks[0].items[0][1]) == 16
    remb = next(m for m in scene.answers(RtcpPsfbPacket) if isinstance(m, RtcpPsfbPacket) and m.fmt == 15)
    bits, ssrcs = unpack_remb_fci(remb.fci)
    assert ssrcs == [1]
    assert bits == pytest.approx(MAX_BITS_PER_SECOND * (1 - 0.25 / 2), rel=0.001)


def test_nacks_are_packed_and_split_over_the_wrap() -> None:
    (message,) = rtcp.nack(9, 1, [65_534, 65_535, 65_536, 65_540])
    (parsed,) = RtcpPacket.parse(message)
    assert isinstance(parsed, RtcpRtpfbPacket)
    assert [lost & 0xFFFF for lost in parsed.lost] == [65_534, 65_535, 0, 4]
    many = list(rtcp.nack(9, 1, range(0, 30_000, 20)))
    assert len(many) == 6
    assert all(len(message) < 1_100 for message in many)
    assert [n for message in many for found in rtcp.read(message) for n in getattr(found, "sequences", ())] == list(
        range(0, 30_000, 20)
    )


def test_a_forwarded_sender_report_is_a_whole_compound_packet() -> None:
    info = rtcp.SenderInfo(ssrc=4, ntp=5 << 32, timestamp=6)
    report, description = RtcpPacket.parse(rtcp.sender_report(info, packets=7, octets=8, cname="name"))
    assert isinstance(report, RtcpSrPacket) and isinstance(description, RtcpSdesPacket)
    assert (report.ssrc, report.sender_info.ntp_timestamp, report.sender_info.packet_count) == (4, 5 << 32, 7)
    assert description.chunks[0].items == [(1, b"name")]
