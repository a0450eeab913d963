"""H.264 that is recorded from its middle on: a key frame is asked for, and the file has what a player needs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from recordings.capture import rtcp
from recordings.capture.assembly import MediaPacket
from recordings.capture.h264 import H264Assembly, h264_starts_key_frame
from recordings.capture.incoming_track import VIDEO_PATIENCE_S, TrackFormat
from recordings.capture.reception import Reception
from recordings.capture.recorder import StreamRecorder
from recordings.capture.rtp import rtp_packet
from recordings.model import Codec
from tests.recordings.scene import CAMERA, Scene
from tests.recordings.test_h264 import assembled, decoded, encoded, packets

PAYLOAD_TYPE = 96
SIZE = (320, 240)  # key frames of many packets
SETS = tuple(unit for unit in encoded(*SIZE)[0] if unit[0] & 31 in (7, 8))
SAID_ONCE = (encoded(*SIZE)[0], *(tuple(unit for unit in one if unit not in SETS) for one in encoded(*SIZE)[1:]))


class Sender:
    """Packets of one stream on the way to a recorder; its clock is the scene's."""

    def __init__(self, scene: Scene, recorder: StreamRecorder, sets: Sequence[bytes] = ()) -> None:
        self._scene = scene
        self._asked: list[bytes] = []
        fmt = TrackFormat(kind=CAMERA, codec=Codec.H264, payload_type=PAYLOAD_TYPE, sets=tuple(sets))
        self.reception = Reception(
            [fmt], recorder, ssrc=9, send=self._asked.append, now=lambda: scene.now, utc=lambda: scene.now
        )

    def send(self, those: Sequence[MediaPacket]) -> None:
        at = None
        for one in those:
            if at is not None and one.timestamp != at:
                self._scene.now += 1 / 30
                self.reception.tick()
            at = one.timestamp
            self.reception.on_rtp(
                rtp_packet(
                    payload_type=PAYLOAD_TYPE,
                    marker=one.marker,
                    sequence=one.sequence,
                    timestamp=one.timestamp,
                    ssrc=1,
                    payload=one.payload,
                )
            )
        self.reception.settle()

    @property
    def key_frames_asked(self) -> int:
        messages = [message for packet in self._asked for message in rtcp.read(packet)]
        return sum(isinstance(message, rtcp.KeyFrameRequest) for message in messages)

    def pass_time(self, seconds: float) -> None:
        self._scene.now += seconds
        self.reception.tick()


def pictures_of(scene: Scene) -> list[av.VideoFrame]:
    """What a player shows of the finished file."""
    with av.open(io.BytesIO(b"".join(scene.view(scene.finalise()).read()))) as file:
        return list(file.decode(video=0))


@pytest.mark.parametrize("said", ["with every key frame", "in the offer"])
async def test_a_recording_that_begins_in_the_middle_asks_for_a_key_frame_and_plays(tmp_path: Path, said: str) -> None:
    scene = Scene(tmp_path)
    recorder = scene.recorder()
    those = list(packets(encoded(*SIZE) if said == "with every key frame" else SAID_ONCE))
    sender = Sender(scene, recorder, () if said == "with every key frame" else SETS)
    middle = next(n for n, one in enumerate(those) if one.timestamp == 3_000 * 4)
    key = next(n for n, one in enumerate(those) if one.timestamp == 3_000 * 10)
    sender.send(those[middle:key])
    sender.pass_time(VIDEO_PATIENCE_S + 0.1)
    assert sender.key_frames_asked >= 2, "again until it comes"
    assert recorder.health().tracks[CAMERA].frames == 0
    sender.send(those[key:])
    recorder.close()
    await scene.store_all()
    assert len(pictures_of(scene)) == 20


async def test_a_recording_permitted_in_the_middle_begins_with_a_key_frame_and_its_earlier_sets(tmp_path: Path) -> None:
    """The sets were said once, before anything was permitted."""
    scene = Scene(tmp_path)
    recorder = scene.recorder(permit=frozenset())
    sender = Sender(scene, recorder)
    those = list(packets(SAID_ONCE))
    middle = next(n for n, one in enumerate(those) if one.timestamp == 3_000 * 4)
    sender.send(those[:middle])
    recorder.permit(frozenset({CAMERA}), "consent")
    assert recorder.wants_key_frame()
    sender.reception.request_key_frame()
    assert sender.key_frames_asked == 1
    sender.send(those[middle:])
    assert not recorder.wants_key_frame()
    recorder.close()
    await scene.store_all()
    assert len(pictures_of(scene)) == 20


def test_what_goes_in_front_of_a_key_frame_for_who_comes_late_makes_it_readable() -> None:
    assembly = H264Assembly()
    those = list(packets(SAID_ONCE))
    assembled(iter(those), assembly)
    key = next(n for n, one in enumerate(those) if one.timestamp == 3_000 * 10)
    preface = assembly.preface(those[key].payload)
    assert list(preface) == list(SETS)
    told = [MediaPacket(n, those[key].timestamp, False, payload) for n, payload in enumerate(preface)]
    assert len(decoded(assembled(iter([*told, *those[key:]])))) == 20
    assert assembled(iter(those[key:])) == [], "without them nothing can be made of it"


def test_nothing_goes_in_front_of_a_key_frame_that_brings_its_sets_or_where_none_are_known() -> None:
    assembly = H264Assembly(SETS)
    for single in (False, True):
        first = next(iter(packets(encoded(*SIZE), single=single)))
        assert assembly.preface(first.payload) == ()
    assert H264Assembly().preface(SAID_ONCE[10][-1]) == ()


def test_a_later_slice_of_a_key_frame_begins_nothing() -> None:
    """first_mb_in_slice is not 0: half a picture."""
    first, *later = (unit for unit in SAID_ONCE[10] if unit[0] & 31 == 5)
    assert later, "this encoder makes several slices of a picture"
    assert h264_starts_key_frame(first) and not any(map(h264_starts_key_frame, later))
    fragment = bytes((first[0] & 0xE0 | 28, 0x80 | 5))
    assert h264_starts_key_frame(fragment + first[1:])
    assert not h264_starts_key_frame(fragment + later[0][1:])
    starts = [one for one in packets(SAID_ONCE) if h264_starts_key_frame(one.payload)]
    assert [one.timestamp for one in starts if one.timestamp] == [30_000, 60_000]
