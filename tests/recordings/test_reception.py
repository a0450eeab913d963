"""A publisher's RTP becomes frames, in order, at their time, with the holes told."""

from __future__ import annotations

import struct

from aiortc.rtp import RtcpPsfbPacket, RtcpRtpfbPacket

from recordings.capture import rtcp
from recordings.capture.incoming_track import AUDIO_PATIENCE_S, VIDEO_PATIENCE_S, TrackFormat
from recordings.capture.reception import Reception
from recordings.model import Codec, Hole, SenderReport
from tests.recordings.reception_scene import CAMERA, DELTA, KEY, OPUS, RTX, UTC, VOICE, VP8, Scene, rtp, started


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
    scene.reception.release(frozenset({VOICE}))
    assert [frame.ticks for frame in scene.frames] == [960, 2_880]


def test_what_waits_is_given_out_when_permission_changes_and_then_never_again() -> None:
    scene = Scene()
    scene.take(*(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (1, 3, 4)))
    scene.reception.release(frozenset({VOICE}))
    scene.frames.clear()
    scene.now += AUDIO_PATIENCE_S * 2
    scene.reception.tick()
    scene.take(*(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (2, 5)))
    assert [frame.ticks for frame in scene.frames] == [4_800], "the late one is not let in either"


def test_what_is_released_of_one_kind_leaves_the_repairs_of_another_under_way() -> None:
    scene = started()
    scene.take(rtp(4, timestamp=9_000), *(rtp(n, pt=OPUS, ssrc=2, timestamp=960 * n, payload=b"o") for n in (1, 3)))
    scene.reception.release(frozenset({VOICE}))
    assert [frame.ticks for frame in scene.frames if frame.kind is VOICE] == [960, 2_880]
    scene.take(rtp(3, timestamp=6_000))
    assert [frame.ticks for frame in scene.frames if frame.kind is CAMERA] == [0, 3_000, 6_000, 9_000]
    assert scene.holes == [Hole(kind=VOICE, from_ticks=960, to_ticks=2_880)]


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
