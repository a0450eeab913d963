"""A publisher's RTP becomes frames, and what we answer is what his sender understands (aiortc's parsers judge it)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

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
from hypothesis import given
from hypothesis import strategies as st

from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.capture.bandwidth import MAX_BITS_PER_SECOND
from recordings.capture.rtp import (
    AUDIO_PATIENCE_S,
    VIDEO_PATIENCE_S,
    Reception,
    TrackFormat,
    read_header,
)
from recordings.model import Codec, Frame, Hole, SenderReport, TrackKind

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
VP8, RTX, OPUS, RED = 96, 97, 111, 63
KEY = b"\x10\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01key"
DELTA = b"\x10\x11\x02\x00delta"
UTC = 1_800_000_000.0


def rtp(
    sequence: int, *, payload: bytes = DELTA, pt: int = VP8, timestamp: int = 0, ssrc: int = 1, marker: bool = True
) -> bytes:
    return struct.pack("!BBHLL", 0x80, marker << 7 | pt, sequence & 0xFFFF, timestamp, ssrc) + payload


@dataclass
class Scene:
    """A reception with a clock to turn; it is its own sink and tap."""

    now: float = 0.0
    frames: list[Frame] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    reports: list[SenderReport] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    tapped: list[tuple[TrackKind, MediaPacket]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frame = self.frames.append
        self.hole = self.holes.append
        self.sender_report = self.reports.append
        formats = [
            TrackFormat(kind=CAMERA, codec=Codec.VP8, payload_type=VP8, rtx_payload_type=RTX),
            TrackFormat(kind=VOICE, codec=Codec.OPUS, payload_type=OPUS, red_payload_type=RED),
        ]
        self.reception = Reception(
            formats, self, ssrc=9, send=self.sent.append, now=lambda: self.now, utc=lambda: UTC + self.now
        )

    def packet(self, kind: TrackKind, packet: MediaPacket) -> None:
        self.tapped.append((kind, packet))

    def report(self, kind: TrackKind, report: rtcp.SenderInfo) -> None:
        """Not looked at."""

    def take(self, *packets: bytes) -> None:
        for packet in packets:
            self.reception.on_rtp(packet)
        self.reception.settle()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.reception.settle()
        self.reception.tick()

    def answers(self, kind: type) -> list[object]:
        return [message for packet in self.sent for message in RtcpPacket.parse(packet) if isinstance(message, kind)]


def started() -> Scene:
    scene = Scene()
    scene.take(rtp(1, payload=KEY), rtp(2, timestamp=3_000))
    return scene


def test_frames_come_out_in_order_with_ticks_and_arrival() -> None:
    scene = Scene()
    scene.now = 5.0
    scene.take(
        rtp(1, payload=KEY), rtp(3, timestamp=6_000), rtp(2, timestamp=3_000), rtp(7, pt=OPUS, ssrc=2, payload=b"o")
    )
    assert [(frame.kind, frame.ticks, frame.key) for frame in scene.frames] == [
        (CAMERA, 0, True),
        (CAMERA, 3_000, False),
        (CAMERA, 6_000, False),
        (VOICE, 0, True),
    ]
    assert (scene.frames[0].width, scene.frames[0].height) == (640, 360)
    assert {frame.arrived_at for frame in scene.frames} == {UTC + 5}


def test_sequence_and_timestamp_wrap_without_a_trace() -> None:
    scene = Scene()
    scene.take(rtp(65_535, payload=KEY, timestamp=(1 << 32) - 1_500), rtp(0, timestamp=1_500), rtp(1, timestamp=4_500))
    assert [frame.ticks - scene.frames[0].ticks for frame in scene.frames] == [0, 3_000, 6_000]
    assert scene.holes == []


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


def test_a_hole_in_the_picture_ends_with_a_key_frame_that_was_asked_for() -> None:
    scene = started()
    scene.take(rtp(4, timestamp=9_000))
    scene.pass_time(VIDEO_PATIENCE_S + 0.1)
    assert [message.fmt for message in scene.answers(RtcpPsfbPacket) if isinstance(message, RtcpPsfbPacket)][:1] == [1]
    scene.take(rtp(5, timestamp=12_000), rtp(6, timestamp=15_000, payload=KEY))
    assert [frame.ticks for frame in scene.frames] == [0, 3_000, 15_000]
    assert scene.holes == [Hole(kind=CAMERA, from_ticks=3_000, to_ticks=15_000)]


def test_a_hole_in_the_sound_is_told_and_the_rest_kept() -> None:
    scene = Scene()
    scene.take(*(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (1, 2, 5, 6)))
    scene.pass_time(AUDIO_PATIENCE_S + 0.1)
    assert [frame.ticks for frame in scene.frames] == [960, 1_920, 4_800, 5_760]
    assert scene.holes == [Hole(kind=VOICE, from_ticks=1_920, to_ticks=4_800)]


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
    remb = next(m for m in scene.answers(RtcpPsfbPacket) if isinstance(m, RtcpPsfbPacket) and m.fmt == 15)
    bits, ssrcs = unpack_remb_fci(remb.fci)
    assert ssrcs == [1]
    assert bits == pytest.approx(MAX_BITS_PER_SECOND * (1 - 0.25 / 2), rel=0.001)


def test_a_sender_report_reaches_the_sink_in_the_tracks_ticks() -> None:
    scene = started()
    ntp = (3_900_000_000 << 32) + (1 << 31)
    for ssrc, moment in ((1, ntp), (1, 0), (77, ntp)):  # ours, a clock not set, a stranger's
        scene.reception.on_rtcp(struct.pack("!BBHLQLLL", 0x80, 200, 6, ssrc, moment, 4_500, 1, 1))
    assert scene.reports == [SenderReport(kind=CAMERA, ntp=3_900_000_000.5, ticks=4_500, arrived_at=UTC)]


def test_a_sender_report_after_2036_is_of_its_own_time() -> None:
    scene = started()
    scene.now = 300_000_000.0
    moment = int(UTC + scene.now) + 2_208_988_800
    assert moment >= 1 << 32
    scene.reception.on_rtcp(struct.pack("!BBHLQLLL", 0x80, 200, 6, 1, (moment & 0xFFFFFFFF) << 32, 4_500, 1, 1))
    assert [report.ntp for report in scene.reports] == [moment]


def test_all_packets_and_reports_are_counted_whatever_they_are() -> None:
    scene = started()
    scene.take(rtp(3, payload=b"", pt=35), b"\x80", rtp(2, timestamp=3_000))
    report = struct.pack("!BBHLQLLL", 0x80, 200, 6, 1, 1 << 32, 4_500, 1, 1)
    for packet in (report * 3, rtcp.picture_loss(1, 2), b"\x80\xc8"):
        scene.reception.on_rtcp(packet)
    traffic = scene.reception.traffic
    assert (traffic.packets, traffic.reports) == (2 + 3 + 3, 4)


def test_only_the_first_ssrc_of_a_kind_is_heard() -> None:
    scene = started()
    scene.take(rtp(3, timestamp=6_000, ssrc=666), rtp(3, timestamp=6_000, pt=35))
    assert len(scene.frames) == 2
    assert scene.reception.ignored == 2


def test_time_never_runs_backwards() -> None:
    scene = started()
    scene.take(rtp(3, timestamp=2_000), rtp(4, timestamp=6_000))
    assert [frame.ticks for frame in scene.frames] == [0, 3_000, 6_000]


def test_what_waits_behind_a_hole_is_kept_when_the_peer_goes() -> None:
    scene = Scene()
    scene.take(*(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (1, 3)))
    scene.reception.release()
    assert [frame.ticks for frame in scene.frames] == [960, 2_880]


def test_what_waits_is_given_out_when_permission_changes_and_then_never_again() -> None:
    scene = Scene()
    scene.take(*(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (1, 3, 4)))
    scene.reception.release()
    scene.frames.clear()
    scene.now += AUDIO_PATIENCE_S * 2
    scene.reception.tick()
    scene.take(*(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (2, 5)))
    assert [frame.ticks for frame in scene.frames] == [4_800], "the late one is not let in either"


def test_viewers_get_packets_at_once_repairs_included() -> None:
    scene = Scene()
    scene.reception.taps.append(scene)
    scene.take(
        rtp(1, payload=KEY), rtp(3, timestamp=6_000), rtp(9, pt=RTX, ssrc=5, payload=b"\0\2" + DELTA, timestamp=3_000)
    )
    assert [(kind, packet.sequence, packet.timestamp) for kind, packet in scene.tapped] == [
        (CAMERA, 1, 0),
        (CAMERA, 3, 6_000),
        (CAMERA, 2, 3_000),
    ]


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


def test_a_stream_whose_first_packets_were_overtaken_begins_with_its_first_frame() -> None:
    scene = Scene()
    scene.take(rtp(12, payload=b"\x00end of the key frame", marker=True))
    (nack,) = scene.answers(RtcpRtpfbPacket)
    assert isinstance(nack, RtcpRtpfbPacket) and {10, 11} <= {lost & 0xFFFF for lost in nack.lost}
    scene.take(rtp(11, payload=b"\x00middle", marker=False), rtp(10, payload=KEY, marker=False))
    scene.pass_time(VIDEO_PATIENCE_S + 0.1)  # what was before can only be known by waiting
    assert [frame.key for frame in scene.frames] == [True] and scene.holes == []


def test_what_has_come_is_counted_for_whoever_asks() -> None:
    """Counters only: two readings give the rates between them (app/room/health.py)."""
    scene = Scene()
    scene.reception = Reception(
        [
            TrackFormat(kind=CAMERA, codec=Codec.VP8, payload_type=VP8),
            TrackFormat(kind=VOICE, codec=Codec.OPUS, payload_type=OPUS, level_extension=1),
        ],
        scene,
        ssrc=7,
        send=scene.sent.append,
        now=lambda: scene.now,
        utc=lambda: UTC + scene.now,
    )
    said = struct.pack("!BBHLLHH", 0x90, OPUS, 1, 0, 2, 0xBEDE, 1) + bytes([0x10, 0x80 | 127, 0, 0]) + b"opus"
    for packet in (rtp(1, payload=KEY), rtp(2, timestamp=3000), rtp(4, timestamp=9000), said, rtp(1, pt=77)):
        scene.reception.on_rtp(packet)
    scene.now += VIDEO_PATIENCE_S + 1
    scene.reception.tick()
    scene.reception.on_rtp(rtp(5, payload=KEY, timestamp=12000))
    traffic = scene.reception.traffic
    assert (traffic.received, traffic.lost, traffic.ignored) == (5, 1, 1)
    assert (traffic.pictures, traffic.holes, traffic.key_frames_asked) == (3, 1, 1)
    assert (traffic.sounds, traffic.levels, traffic.power, traffic.pauses) == (1, 1, 0, 0)
    assert traffic.bytes == sum(len(one) for one in (rtp(1, payload=KEY), rtp(2), rtp(4), said, rtp(1), KEY)) + 12
    assert (traffic + traffic).bytes == 2 * traffic.bytes
    assert traffic - traffic == type(traffic)()
