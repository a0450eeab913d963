"""From frames to a file a player takes, and nothing different from what was sent."""

from __future__ import annotations

import dataclasses
import io
import random

import av
import pytest
from msgspec.structs import replace

from recordings.capture.recorder import CaptureState
from recordings.encryption.keystore import KeyPath
from recordings.encryption.sealed import SealBroken
from recordings.erase import erase
from recordings.index import read_index
from recordings.model import Frame, Hole, TrackKind
from recordings.playback import NothingToPlay
from recordings.storage.layout import recording_prefix, segment_key
from recordings.storage.store import ObjectMissing
from tests.recordings.scene import BOTH, CAMERA, START, VOICE, Scene, play, sounds


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "spool")


def of(frames: list[Frame], kind: TrackKind) -> list[Frame]:
    return [frame for frame in frames if frame.kind is kind]


async def recorded(scene: Scene, seconds: float, **how) -> list[Frame]:
    recorder = scene.recorder()
    frames = scene.capture(recorder, seconds, **how)
    recorder.close()
    await scene.store_all()
    return frames


async def test_every_frame_sent_is_played_in_order_and_at_its_time(scene):
    frames = await recorded(scene, 12)
    summary = scene.finalise()
    played = play(b"".join(scene.view(summary).read()))

    for kind, name, step in ((CAMERA, "video", 1000 / 30), (VOICE, "audio", 20)):
        sent, got = of(frames, kind), played[name]
        assert [packet.data for packet in got] == [frame.data for frame in sent]
        assert [packet.key for packet in got] == [frame.key for frame in sent]
        assert all(abs(packet.at_ms - number * step) <= 1 for number, packet in enumerate(got))
    assert summary.gaps == () and not summary.interrupted and summary.duration_ms == 12_000
    assert [(track.kind, track.frames) for track in summary.tracks] == [(CAMERA, 360), (VOICE, 600)]


async def test_the_adapters_on_disk_give_the_same_file_and_erase_it(tmp_path):
    scene = Scene(tmp_path / "spool", on_disk=tmp_path)
    frames = await recorded(scene, 6)
    played = play(b"".join(scene.view(scene.finalise()).read()))
    assert [packet.data for packet in played["video"]] == [frame.data for frame in of(frames, CAMERA)]
    person = KeyPath(scene.ref.account, scene.ref.person)
    erasure = erase(scene.store, scene.keys, person, [recording_prefix(scene.ref)])
    assert erasure.verified and erasure.bytes > 0 and not list((tmp_path / "store").rglob("*/s/*"))


async def test_a_decoder_takes_all_of_it_without_a_complaint(scene):
    await recorded(scene, 4)
    data = b"".join(scene.view(scene.finalise()).read())
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as complaints, av.open(io.BytesIO(data)) as file:
            assert file.streams.video[0].width == 64
            decoded = list(file.decode(file.streams.video[0]))
            assert file.duration == 4_000_000
        with av.logging.Capture() as more, av.open(io.BytesIO(data)) as file:
            samples = sum(frame.samples for frame in file.decode(file.streams.audio[0]))
    finally:
        av.logging.set_level(None)
    assert len(decoded) == 120 and samples >= 4 * 48_000 - 960
    assert complaints == [] and more == []


async def test_seeking_lands_on_the_key_frame_before_the_place(scene):
    frames = of(await recorded(scene, 9), CAMERA)
    keys_ms = [round((frame.ticks - frames[0].ticks) / 90) for frame in frames if frame.key]
    data = b"".join(scene.view(scene.finalise()).read())
    with av.open(io.BytesIO(data)) as file:
        for wanted_ms in (7_500, 2_200, 4_000, 1_666, 0):
            file.seek(wanted_ms * 1000, backward=True)
            packet = next(packet for packet in file.demux(file.streams.video[0]))
            assert packet.is_keyframe and abs(packet.pts - max(at for at in keys_ms if at <= wanted_ms)) <= 1


async def test_any_byte_range_is_that_slice_of_the_whole(scene):
    await recorded(scene, 6)
    summary = scene.finalise()
    whole = b"".join(scene.view(summary).read())
    view = scene.view(summary)
    assert view.size == len(whole)
    chance = random.Random(1)
    for _ in range(100):
        start = chance.randrange(len(whole))
        length = chance.choice([1, 22, 500, 5_000, len(whole)])
        assert b"".join(view.read(start, length)) == whole[start : start + length]
    assert b"".join(view.read(len(whole), 10)) == b"" == b"".join(view.read(5, 0))


async def test_the_same_index_gives_the_same_bytes_and_tag(scene):
    await recorded(scene, 3)
    summary = scene.finalise()
    again = scene.finalise()  # a job that ran twice
    assert again == summary
    first, second = scene.view(summary), scene.view(again)
    assert b"".join(first.read()) == b"".join(second.read()) and first.etag == second.etag
    only_voice = scene.view(summary, [scene.tracks[VOICE]])
    assert only_voice.etag != first.etag


async def test_a_range_reads_only_the_chunks_it_needs(scene):
    await recorded(scene, 20)
    summary = scene.finalise()
    reads: list[int] = []
    get = scene.store.get

    def counting(key: str, start: int = 0, length: int | None = None) -> bytes:
        data = get(key, start, length)
        reads.append(len(data))
        return data

    view = scene.view(summary)
    scene.store.get = counting
    b"".join(view.read(view.size - 3_000, 1_000))
    assert len(reads) <= 3 and sum(reads) < 12_000
    b"".join(view.read(view.size - 3_000, 1_000))
    assert len(reads) <= 3, "opened chunks are kept"
    reads.clear()
    b"".join(scene.view(summary).read())
    assert len(reads) <= 1 + 2 * (20 / 4.5 + 1), "one read of the index, one of each segment"


async def test_a_stream_of_sound_alone_is_an_audio_file_that_can_be_seeked(scene):
    recorder = scene.recorder(permit=frozenset({VOICE}))
    frames = scene.capture(recorder, 6)
    recorder.close()
    await scene.store_all()
    view = scene.view(scene.finalise())
    played = play(b"".join(view.read()))
    assert view.content_type == "audio/webm" and set(played) == {"audio"}
    assert len(played["audio"]) == len(of(frames, VOICE))
    assert not [key for key in scene.stored if str(scene.tracks[CAMERA].track) in key], (
        "nothing permitted, nothing left"
    )
    with av.open(io.BytesIO(b"".join(view.read()))) as file:
        file.seek(4_000_000, backward=True)
        assert 3_000 <= next(packet for packet in file.demux()).pts <= 4_000


async def test_video_without_a_key_frame_is_never_kept(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 3, keep=lambda frame: frame.kind is VOICE or not frame.key)
    assert recorder.wants_key_frame() and recorder.health().tracks[CAMERA].frames == 0
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert [track.frames for track in summary.tracks] == [0, 150]
    assert scene.view(summary).content_type == "audio/webm"


async def test_a_take_without_frames_is_finalised_as_nothing(scene):
    recorder = scene.recorder()
    assert recorder.health().state is CaptureState.WAITING
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert summary.duration_ms == 0 and summary.started_at == START and not summary.interrupted
    with pytest.raises(NothingToPlay):
        scene.view(summary)


async def test_takes_stand_on_one_timeline_with_the_gap_between_them(scene):
    for take, clean in ((1, False), (2, True), (3, True)):
        recorder = scene.recorder(take)
        scene.capture(recorder, 3)
        recorder.close(clean)
        scene.ticks_from = {CAMERA: 1_000 * take, VOICE: 9_000_000 * take}  # a new connection counts anew
        scene.now += 10
    await scene.store_all()
    summary = scene.finalise()
    assert [(gap.from_ms, gap.to_ms, gap.why) for gap in summary.gaps] == [
        (3_000, 13_000, "not connected"),
        (16_000, 26_000, "not connected"),
    ]
    played = play(b"".join(scene.view(summary).read()))
    assert [len(played[name]) for name in ("video", "audio")] == [270, 450]
    for name in ("video", "audio"):
        times = [packet.at_ms for packet in played[name]]
        assert times == sorted(times) and any(abs(at - 13_000) <= 1 for at in times)


async def test_a_server_clock_that_was_set_back_never_makes_frames_overlap(scene):
    for take in (1, 2):
        recorder = scene.recorder(take)
        scene.capture(recorder, 3)
        recorder.close()
        scene.now -= 2
    await scene.store_all()
    played = play(b"".join(scene.view(scene.finalise()).read()))
    for name, count in (("video", 180), ("audio", 300)):
        times = [packet.at_ms for packet in played[name]]
        assert times == sorted(times) and len(times) == count


@pytest.mark.parametrize("damage", ["flip", "cut", "swap", "gone"])
async def test_what_was_changed_in_the_store_is_refused_and_never_served(scene, damage):
    await recorded(scene, 12)
    summary = scene.finalise()
    camera = scene.tracks[CAMERA]
    first, second = (segment_key(camera, 1, number) for number in (0, 1))
    objects = scene.store.objects
    if damage == "flip":
        objects[first] = objects[first][:900] + bytes([objects[first][900] ^ 1]) + objects[first][901:]
    elif damage == "cut":
        objects[first] = objects[first][:1_000]
    elif damage == "swap":
        objects[first], objects[second] = objects[second], objects[first]
    else:
        del objects[first]
    served: list[bytes] = []
    with pytest.raises((SealBroken, ObjectMissing)):
        served.extend(scene.view(summary, [camera]).read())
    packets = play(b"".join(served)).get("video", []) if len(served) > 1 else []
    assert len(packets) < 140, "only what stood before the damage"


async def test_an_index_of_another_generation_does_not_open_in_its_place(scene):
    await recorded(scene, 2)
    one, two = scene.finalise(1), scene.finalise(2)
    scene.store.objects[two.object_key] = scene.store.objects[one.object_key]
    with pytest.raises(SealBroken):
        scene.view(two)


async def test_lost_frames_leave_a_gap_that_says_so(scene):
    recorder = scene.recorder(permit=frozenset({VOICE}))
    scene.capture(recorder, 2)
    came_back = scene.ticks(VOICE, scene.now + 1.5)
    recorder.hole(Hole(kind=VOICE, from_ticks=scene.ticks(VOICE, scene.now), to_ticks=came_back))
    scene.now += 1.5
    scene.capture(recorder, 2)
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert [(gap.from_ms, gap.to_ms, gap.why) for gap in summary.gaps] == [(2_000, 3_500, "lost on the network")]


async def test_what_was_lost_in_the_middle_of_a_chunk_is_a_gap_too_and_several_of_one_moment(scene):
    """300 ms twice, given up at once; a loss too short to be noticed is a hole of the index and no gap."""
    recorder = scene.recorder(permit=frozenset({VOICE}))
    lost = [(0.10, 0.40), (0.45, 0.75), (0.80, 0.90)]
    kept = scene.capture(
        recorder,
        2,
        kinds=frozenset({VOICE}),
        keep=lambda frame: not any(a <= frame.arrived_at - START - scene.latency_s[VOICE] < b for a, b in lost),
    )
    for start, end in lost:
        before = max(f.ticks for f in kept if f.ticks < scene.ticks(VOICE, START + start))
        after = min(f.ticks for f in kept if f.ticks >= scene.ticks(VOICE, START + end))
        recorder.hole(Hole(kind=VOICE, from_ticks=before, to_ticks=after))
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    gaps = summary.gaps
    index = read_index(scene.store, scene.keys, scene.ref, summary.object_key, summary.generation)
    assert [hole.missing_ms for track in index.tracks for hole in track.holes] == [300, 300, 100]
    assert [gap.why for gap in gaps] == ["lost on the network"] * 2
    for gap, (start, end) in zip(gaps, lost, strict=False):
        assert abs(gap.from_ms - start * 1000) <= 20 and abs(gap.to_ms - end * 1000) <= 20


async def test_who_floods_holes_does_not_fill_the_journal(scene):
    recorder = scene.recorder(permit=frozenset({VOICE}))
    scene.capture(recorder, 1, kinds=frozenset({VOICE}))
    before = scene.spool.waiting().bytes
    for number in range(10_000):
        recorder.hole(Hole(kind=VOICE, from_ticks=number, to_ticks=number + 1))
    assert recorder.health().tracks[VOICE].holes == 10_000
    assert 0 < scene.spool.waiting().bytes - before < 300 * 100
    recorder.close()


async def test_a_server_clock_that_is_set_back_keeps_nothing_from_being_stored(scene):
    """By an hour, in the middle of a take: segments end as before, and reports and holes are told."""
    recorder = scene.recorder(permit=frozenset({VOICE}))
    frames = list(scene.frames(VOICE, scene.now, 12))
    for number, frame in enumerate(frames):
        arrived_at = frame.arrived_at - (3_600 if number >= 100 else 0)
        recorder.sender_report(dataclasses.replace(scene.report(VOICE, frame.arrived_at), arrived_at=arrived_at))
        recorder.frame(replace(frame, arrived_at=arrived_at))
        scene.now = arrived_at
        if number in (50, 150):
            recorder.hole(Hole(kind=VOICE, from_ticks=frame.ticks, to_ticks=frame.ticks + 1))
        if number % 5 == 0:
            recorder.tick(arrived_at)
    await scene.store_all()
    stored = [one.key for one in scene.store.list("") if "/s/" in one.key]
    assert len(stored) >= 3, "before the take is over"
    recorder.close()
    await scene.store_all()
    found = scene.finalise()
    assert len(play(b"".join(scene.view(found).read()))["audio"]) == len(frames)
    assert found.duration_ms == pytest.approx(12_000, abs=50)


async def test_a_frame_from_the_past_and_a_picture_of_another_size_do_no_harm(scene):
    recorder = scene.recorder()
    frames = scene.capture(recorder, 2)
    old = of(frames, CAMERA)[3]
    recorder.frame(replace(old, arrived_at=scene.now))
    larger = replace(of(frames, CAMERA)[0], ticks=scene.ticks(CAMERA, scene.now), width=640, height=360)
    recorder.frame(replace(larger, arrived_at=scene.now))
    recorder.close()
    await scene.store_all()
    data = b"".join(scene.view(scene.finalise()).read())
    with av.open(io.BytesIO(data)) as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (640, 360)
    assert len(play(data)["video"]) == 61


async def test_a_lost_chunk_boundary_never_makes_a_chunk_longer_than_half_a_second(scene):
    """Sound with pauses of a minute: times inside a chunk are 16-bit milliseconds."""
    recorder = scene.recorder(permit=frozenset({VOICE}))
    for number in range(5):
        at = START + 60 * number
        recorder.frame(Frame(kind=VOICE, ticks=scene.ticks(VOICE, at), data=sounds()[0], key=True, arrived_at=at))
    scene.now = START + 300
    recorder.close()
    await scene.store_all()
    played = play(b"".join(scene.view(scene.finalise()).read()))
    assert [packet.at_ms for packet in played["audio"]] == [0, 60_000, 120_000, 180_000, 240_000]


async def test_nothing_lies_in_the_spool_in_clear(scene):
    recorder = scene.recorder()
    frames = scene.capture(recorder, 3, kinds=BOTH)
    recorder.close()
    await scene.spool.settle()
    held = b"".join(piece.path.read_bytes() for piece in scene.spool.pieces())
    assert held and not any(frame.data[4:24] in held for frame in frames if len(frame.data) > 30)
