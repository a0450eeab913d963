"""The demo's own media, and whether reading it back tells the truth."""

import io
from collections.abc import Collection
from dataclasses import replace
from functools import cache

import av
import numpy as np
import pytest

from app.demo import clips, frame_counter
from app.demo.clips import Clip
from app.demo.figures import MOST_OFFSET_MS, Served, offset_ms
from app.demo.frame_counter import FrameNumber
from app.demo.inspection import Inspection, inspect

PEOPLE = (1, 2)
VIDEOS = [
    pytest.param(clips.camera(1), 1, 1200, 30, id="camera 1"),
    pytest.param(clips.camera(2), 2, 1200, 30, id="camera 2"),
    pytest.param(clips.screen(1), 9, 400, 10, id="screen 1"),
    pytest.param(clips.screen(2), 10, 400, 10, id="screen 2"),
]


def webm(video: Clip | None, audio: Clip | None, *, without: Collection[int] = (), sound_late_ms: int = 0) -> bytes:
    """The clips as one WebM, packets unchanged; `without` names video packets to leave out."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        placed = []
        if video:
            pictures = container.add_mux_stream("vp8", rate=30, width=640, height=360)
            placed += [(video, i, pictures, 0) for i in range(len(video.packets)) if i not in without]
        if audio:
            sound = container.add_mux_stream("opus", rate=48_000)
            placed += [(audio, i, sound, sound_late_ms * 48) for i in range(len(audio.packets))]
        for clip, i, stream, late in sorted(placed, key=lambda p: (p[0].packets[p[1]].ticks + p[3]) / p[0].clock_hz):
            packet = clip.av_packet(i)
            packet.pts += late
            packet.dts, packet.stream, packet.is_keyframe = packet.pts, stream, clip.packets[i].is_key
            container.mux(packet)
    return file.getvalue()


@cache
def seen(person: int) -> Inspection:
    return inspect(webm(clips.camera(person), clips.speech(person)))


@pytest.mark.parametrize(("clip", "number", "frames", "fps"), VIDEOS)
def test_a_clip_is_regular_and_a_receiver_can_begin_at_every_second(clip, number, frames, fps):
    assert [p.ticks for p in clip.packets] == [i * 90_000 // fps for i in range(frames)]
    assert [i for i, p in enumerate(clip.packets) if p.is_key] == list(range(0, frames, fps))
    assert clip.seconds == 40


@pytest.mark.parametrize(("clip", "number", "frames", "fps"), VIDEOS)
def test_every_picture_tells_its_clip_and_its_number(clip, number, frames, fps):
    found = inspect(webm(clip, None))
    assert found.numbers == tuple(FrameNumber(clip=number, frame=i) for i in range(frames))
    assert found.missing(number, frames) == ()
    assert found.foreign(number) == 0
    assert (found.frames, found.audio_packets, found.av_offset_ms) == (frames, 0, None)


@pytest.mark.parametrize("person", PEOPLE)
def test_flash_and_beep_come_together_once_a_second(person):
    found = seen(person)
    assert len(found.flashes) == len(found.beeps) == 39  # the flash at 0 has no dark picture before it
    assert max(abs(beep - flash) for flash, beep in zip(found.flashes, found.beeps, strict=True)) < 0.003
    assert abs(found.av_offset_ms) < 1.5


def test_late_sound_is_told_with_its_sign():
    found = inspect(webm(clips.camera(1), clips.speech(1), sound_late_ms=120))
    assert found.av_offset_ms - seen(1).av_offset_ms == pytest.approx(120, abs=1)


def test_of_all_cameras_the_one_whose_sound_is_furthest_off_is_told():
    early = replace(seen(1), beeps=tuple(beep - 0.012 for beep in seen(1).beeps))
    told = offset_ms([Served(link="", bytes=0, sha256="", seen=one) for one in (seen(1), early)])
    assert told == pytest.approx(-12, abs=1.5)
    assert abs(told) > MOST_OFFSET_MS


def test_missing_pictures_are_named():
    tail = range(31, 60)  # up to the next key frame: nothing else breaks
    found = inspect(webm(clips.camera(1), None, without=tail))
    assert found.missing(1, 1200) == tuple(tail)
    assert found.frames == 1200 - len(tail)


def test_pictures_of_somebody_else_are_foreign():
    found = inspect(webm(clips.screen(2), None))
    assert found.foreign(1) == 400
    assert found.missing(1, 3) == (0, 1, 2)


def test_sound_alone_is_counted():
    found = inspect(webm(None, clips.speech(2)))
    assert (found.frames, found.audio_packets) == (0, len(clips.speech(2).packets))
    assert len(found.beeps) == 39


@pytest.mark.parametrize("person", PEOPLE)
def test_speech_is_long_enough_and_in_packets_of_20_ms(person):
    speech = clips.speech(person)
    assert len(clips.speech_text(person).split()) >= 90
    assert 40 <= speech.seconds <= 40.02
    assert {b.ticks - a.ticks for a, b in zip(speech.packets, speech.packets[1:], strict=False)} == {960}


def test_the_assets_stay_small():
    assert sum(path.stat().st_size for path in clips.ASSETS.iterdir()) < 4_000_000


@pytest.mark.parametrize("size", [(360, 640), (180, 320), (720, 1280)])
@pytest.mark.parametrize("number", [FrameNumber(clip=0, frame=0), FrameNumber(clip=15, frame=65_535)])
def test_a_number_is_read_at_any_size(size, number):
    picture = np.full(size, 90, dtype=np.uint8)
    frame_counter.draw(picture, number, flash=True)
    assert frame_counter.read(picture) == number
    assert frame_counter.is_flash(picture)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_without_the_pattern_has_no_number(grey):
    assert frame_counter.read(np.full((360, 640), grey, dtype=np.uint8)) is None
