"""Forwarding rewrites headers and nothing else, and answers a viewer's feedback within bounds."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from aiortc.rtp import RtpPacket, unwrap_rtx

from app.room.forward import (
    HISTORY_PACKETS,
    MOST_REPAIRS_PER_TICK,
    Forwarder,
    OutgoingFormat,
    OutgoingTrack,
    Source,
)
from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.model import Codec, TrackKind

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
KEY, DELTA = b"\x10\x10key", b"\x10\x11delta"
PLAIN = OutgoingFormat(codec=Codec.VP8, ssrc=100, payload_type=96)
WITH_RTX = OutgoingFormat(codec=Codec.VP8, ssrc=100, payload_type=96, rtx_ssrc=101, rtx_payload_type=97)


def packet(sequence: int, payload: bytes = DELTA) -> MediaPacket:
    return MediaPacket(sequence, 3_000 * sequence, True, payload)


class Viewer:
    """A forwarder whose output is parsed by aiortc."""

    def __init__(
        self, fmt: OutgoingFormat = WITH_RTX, *, kind: TrackKind = CAMERA, preface: tuple[bytes, ...] = ()
    ) -> None:
        self.wishes = 0
        self.media: list[RtpPacket] = []
        self.control: list[bytes] = []
        self.now = 0.0
        self.source = Source(self._wish, lambda kind, payload: preface, lambda: self.now)
        self.forwarder = Forwarder(
            {kind: fmt if kind is CAMERA else replace(fmt, codec=Codec.OPUS)},
            source=self.source,
            send_rtp=lambda data: self.media.append(RtpPacket.parse(data)),
            send_rtcp=self.control.append,
        )
        self.source.forwarders.append(self.forwarder)

    def _wish(self) -> None:
        self.wishes += 1

    def see(self, *packets: MediaPacket, kind: TrackKind = CAMERA) -> None:
        for one in packets:
            self.source.packet(kind, one)

    def ask(self, *sequences: int, ssrc: int = 100) -> None:
        for message in rtcp.nack(1, ssrc, sequences):
            self.forwarder.feedback(message)


def test_payload_timestamp_and_marker_stay_and_the_rest_is_our_own() -> None:
    viewer = Viewer()
    viewer.see(packet(70_000, KEY), packet(70_001))
    first, second = viewer.media
    assert (first.payload_type, first.ssrc, first.timestamp, first.marker) == (96, 100, 210_000_000, 1)
    assert first.payload == KEY
    assert second.sequence_number == first.sequence_number + 1


def test_a_viewer_begins_with_a_key_frame_and_asks_until_it_comes() -> None:
    viewer = Viewer()
    viewer.see(packet(1), packet(2))
    viewer.forwarder.tick()
    assert (viewer.media, viewer.wishes) == ([], 1)
    viewer.see(packet(3, KEY), packet(4), packet(2))  # what lies before stays away
    viewer.forwarder.tick()
    assert [one.timestamp for one in viewer.media] == [9_000, 12_000]
    assert viewer.wishes == 1


def test_however_often_viewers_ask_the_publisher_is_asked_for_one_key_frame_a_second() -> None:
    viewer = Viewer()
    viewer.see(packet(1, KEY))
    for _ in range(250):
        viewer.now += 0.01
        viewer.forwarder.feedback(rtcp.picture_loss(1, 100))
    assert viewer.wishes == 3
    viewer.see(packet(2, KEY))
    viewer.now += 10
    viewer.forwarder.tick()
    assert viewer.wishes == 3, "nobody needs one"


def test_what_was_said_before_stands_in_front_of_the_first_key_frame_once_and_can_be_asked_for_again() -> None:
    viewer = Viewer(preface=(b"set one", b"set two"))
    viewer.see(packet(1), packet(2), packet(3, KEY), packet(2, b"late"), packet(4, KEY))
    begin = viewer.media[0].sequence_number
    assert [(one.sequence_number - begin, one.payload, one.timestamp) for one in viewer.media] == [
        (0, b"set one", 9_000),
        (1, b"set two", 9_000),
        (2, KEY, 9_000),
        (3, KEY, 12_000),
    ]
    assert not viewer.media[1].marker
    viewer.ask(begin + 1)
    again = unwrap_rtx(viewer.media[-1], payload_type=96, ssrc=100)
    assert (again.sequence_number, again.payload) == (begin + 1, b"set two"), "and not what came under that number"


def test_sound_begins_at_once() -> None:
    viewer = Viewer(kind=VOICE)
    viewer.see(packet(1, b"opus"), kind=VOICE)
    assert len(viewer.media) == 1


def test_a_hole_keeps_its_place_so_that_the_late_packet_fits_in() -> None:
    viewer = Viewer()
    viewer.see(packet(1, KEY), packet(3), packet(2))
    begin = viewer.media[0].sequence_number
    assert [one.sequence_number - begin for one in viewer.media] == [0, 2, 1]


def test_sequence_numbers_wrap() -> None:
    track = OutgoingTrack(PLAIN, first_sequence=65_535)
    assert track.begin(packet(5, KEY)) == []
    numbers = [RtpPacket.parse(track.rewrite(packet(n, KEY)) or b"").sequence_number for n in (5, 6)]
    assert numbers == [65_535, 0]
    again = track.repair(0, {6: packet(6)})
    assert again is not None
    assert RtpPacket.parse(again).timestamp == 18_000


def test_what_a_viewer_lost_comes_again_as_rtx() -> None:
    viewer = Viewer()
    viewer.see(packet(1, KEY), packet(2), packet(3))
    lost = viewer.media[1]
    viewer.ask(lost.sequence_number)
    again = viewer.media[3]
    assert (again.ssrc, again.payload_type) == (101, 97)
    original = unwrap_rtx(again, payload_type=96, ssrc=100)
    assert (original.sequence_number, original.payload) == (lost.sequence_number, lost.payload)


def test_without_rtx_it_comes_again_as_it_was() -> None:
    viewer = Viewer(PLAIN)
    viewer.see(packet(1, KEY), packet(2))
    viewer.ask(viewer.media[1].sequence_number)
    assert bytes(viewer.media[2].serialize()) == bytes(viewer.media[1].serialize())


def test_what_was_never_sent_does_not_come_again() -> None:
    viewer = Viewer()
    viewer.see(packet(1), packet(2, KEY), packet(3))
    begin = viewer.media[0].sequence_number
    viewer.ask((begin - 1) & 0xFFFF, begin + 500)
    viewer.ask(begin, ssrc=999)
    assert len(viewer.media) == 2


def test_repairs_are_bounded_and_the_bound_is_renewed() -> None:
    viewer = Viewer()
    viewer.see(packet(0, KEY), *(packet(n) for n in range(1, 200)))
    begin = viewer.media[0].sequence_number
    viewer.media.clear()
    for _ in range(3):
        viewer.ask(*(begin + n for n in range(100)))
    assert len(viewer.media) == MOST_REPAIRS_PER_TICK
    viewer.forwarder.tick()
    viewer.ask(begin)
    assert len(viewer.media) == MOST_REPAIRS_PER_TICK + 1


def test_the_history_is_bounded_and_forgotten() -> None:
    viewer = Viewer()
    viewer.see(*(packet(n) for n in range(3_000)))
    assert len(viewer.source.history(CAMERA)) == HISTORY_PACKETS[True]
    viewer.source.forget()
    assert viewer.source.history(CAMERA) == {}


@pytest.mark.parametrize("fmt, extra", [(1, b""), (4, struct.pack("!LL", 100, 0))], ids=["PLI", "FIR"])
def test_a_viewers_wish_for_a_key_frame_reaches_the_publisher(fmt: int, extra: bytes) -> None:
    viewer = Viewer()
    viewer.forwarder.feedback(struct.pack("!BBHLL", 0x80 | fmt, 206, 2 + len(extra) // 4, 1, 100) + extra)
    assert viewer.wishes == 1


def test_what_a_viewer_sends_is_counted() -> None:
    viewer = Viewer()
    viewer.ask(1, 2, 300)
    viewer.forwarder.feedback(rtcp.picture_loss(1, 100) * 3)
    viewer.forwarder.media(b"any")
    assert (viewer.forwarder.traffic.packets, viewer.forwarder.traffic.reports) == (3, 4)


def test_a_sender_report_is_passed_on_under_our_ssrc_with_our_counts() -> None:
    viewer = Viewer()
    info = rtcp.SenderInfo(ssrc=5, ntp=6 << 32, timestamp=7)
    viewer.source.report(CAMERA, info)
    assert viewer.control == []  # before the first packet it would mean nothing
    viewer.see(packet(1, KEY))
    viewer.source.report(CAMERA, info)
    (message,) = rtcp.read(viewer.control[0])
    assert message == rtcp.SenderInfo(ssrc=100, ntp=6 << 32, timestamp=7)
    assert struct.unpack_from("!LL", viewer.control[0], 20) == (1, len(KEY))
