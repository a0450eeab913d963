"""Finalising reads journals and never media, says what is missing, and can be done again."""

from __future__ import annotations

from collections import Counter

import pytest

from recordings.capture.journal import Arrival, ChunkSealed, End, JournalWriter, Permission, Report
from recordings.encryption.keystore import KeyDestroyed
from recordings.encryption.sealed import SealBroken
from recordings.erase import erase
from recordings.finalise import finalise
from recordings.gaps import find_gaps, without
from recordings.index import IndexGap
from recordings.model import TrackKind
from recordings.playback import View
from recordings.storage.layout import index_key, journal_key, segment_key, track_key_path, track_prefix
from recordings.storage.memory import MemoryStore
from tests.recordings.scene import CAMERA, NTP, START, VOICE, Scene, play


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "spool")


class CountingStore(MemoryStore):
    """Counts the objects read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads[key] += 1
        return super().get(key, start, length)


def journal(scene: Scene, kind: TrackKind, seconds: int, chunk_bytes: int = 100) -> None:
    """What a take of `seconds` leaves in the journal; the media is as good as absent."""
    track, rate = scene.tracks[kind], kind.clock_rate
    out = JournalWriter(scene.spool, track, 1, scene.data_keys[kind])
    out.write(Permission(on=True, at=START, why="consent"))
    out.write(Arrival(ticks=0, at=START))
    for half in range(seconds * 2):
        if half % 4 == 0:
            out.write(Report(ntp=START + NTP + half / 2, ticks=half * rate // 2, arrived_at=START + half / 2))
        out.write(
            ChunkSealed(
                index=half,
                segment=half // 10,
                offset=half % 10 * (chunk_bytes + 4) + 4,
                sealed_bytes=chunk_bytes,
                block_bytes=50,
                first_ticks=half * rate // 2,
                last_ticks=half * rate // 2 + rate * 48 // 100,
                frames=15,
                starts_with_key=True,
            )
        )
    out.write(End(clean=True, at=START + seconds))
    out.close()
    for segment in range(seconds * 2 // 10):
        scene.store.put(segment_key(track, 1, segment), bytes(10 * (chunk_bytes + 4)))


@pytest.mark.parametrize("seconds", [60, 7_200])
async def test_two_hours_cost_as_many_reads_as_one_minute_and_none_of_media(scene, seconds):
    scene.store = CountingStore()
    scene.uploader = scene.new_uploader()
    for kind in (CAMERA, VOICE):
        journal(scene, kind, seconds)
    await scene.store_all()
    scene.store.reads.clear()
    summary = scene.finalise()
    assert scene.store.reads == {journal_key(scene.tracks[kind], 1): 1 for kind in (CAMERA, VOICE)}
    assert abs(summary.duration_ms - seconds * 1000) <= 30 and summary.gaps == () and not summary.interrupted
    assert [track.frames for track in summary.tracks] == [seconds * 30] * 2
    view = scene.view(summary)
    assert isinstance(view, View) and view.size > seconds * 4 * 50
    assert scene.store.reads.total() == 3, "opening the view reads the index only"


async def test_a_segment_the_store_lost_is_left_out_and_said(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 15)
    recorder.close()
    await scene.store_all()
    for track in scene.tracks.values():
        del scene.store.objects[segment_key(track, 1, 1)]
    summary = scene.finalise()
    (gap,) = (gap for gap in summary.gaps if gap.kind is None)
    assert summary.interrupted and gap.why == "interrupted" and gap.to_ms - gap.from_ms >= 4_000
    assert play(b"".join(scene.view(summary).read()))


async def test_a_changed_journal_is_refused(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 3)
    recorder.close()
    await scene.store_all()
    key = journal_key(scene.tracks[VOICE], 1)
    data = bytearray(scene.store.objects[key])
    data[len(data) // 2] ^= 1
    scene.store.objects[key] = bytes(data)
    with pytest.raises(SealBroken):
        scene.finalise()


async def test_one_track_erased_and_another_generation_plays_the_rest_in_the_same_time(scene):
    recorder = scene.recorder()
    frames = scene.capture(recorder, 4)
    recorder.close()
    await scene.store_all()
    first = scene.finalise(1)
    camera, voice = scene.tracks[CAMERA], scene.tracks[VOICE]

    erasure = erase(scene.store, scene.keys, track_key_path(camera), [track_prefix(camera), index_key(scene.ref, 1)])
    assert erasure.verified and erasure.keys_destroyed == 1
    second = finalise(scene.store, scene.keys, scene.ref, [voice], 2, started_at=first.started_at)
    assert second.started_at == first.started_at
    played = play(b"".join(scene.view(second).read()))
    sent = [frame.data for frame in frames if frame.kind is VOICE]
    assert set(played) == {"audio"} and [packet.data for packet in played["audio"]] == sent
    assert not [key for key in scene.store.objects if str(camera.track) in key or key == first.object_key]
    with pytest.raises(KeyDestroyed):
        finalise(scene.store, scene.keys, scene.ref, [camera, voice], 3)


async def test_an_old_index_does_not_play_an_erased_track(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 2)
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    erase(scene.store, scene.keys, track_key_path(scene.tracks[CAMERA]), [track_prefix(scene.tracks[CAMERA])])
    with pytest.raises(KeyDestroyed):
        scene.view(summary)
    assert set(play(b"".join(scene.view(summary, [scene.tracks[VOICE]]).read()))) == {"audio"}


@pytest.mark.parametrize(
    "covered, holes, left",
    [
        ([(0, 500), (500, 1_000)], [], [(0, 500), (500, 1_000)]),
        ([(0, 500), (500, 1_000)], [(100, 200), (450, 600)], [(0, 100), (200, 450), (600, 1_000)]),
        ([(0, 500), (700, 900)], [(0, 500), (600, 800)], [(800, 900)]),
        ([(500, 1_000), (0, 500)], [(900, 2_000), (-5, 3)], [(3, 500), (500, 900)]),
        ([(0, 500)], [(300, 300), (400, 350), (600, 700)], [(0, 500)]),
        ([(0, 400), (200, 600)], [(250, 300)], [(0, 250), (300, 400), (200, 250), (300, 600)]),
    ],
)
def test_what_is_covered_less_its_holes(covered, holes, left):
    assert without(covered, holes) == left


@pytest.mark.parametrize(
    "covered, reasons, gaps",
    [
        ([(0, 1000), (1200, 2000)], [], []),  # irregularity
        ([(0, 1000), (2900, 4000)], [], []),  # a still screen
        ([(0, 1000), (3000, 4000)], [], [(1000, 3000, "nothing received")]),
        ([(0, 1000), (1300, 2000)], [(1000, 1300, "paused")], [(1000, 1300, "paused")]),
        ([(0, 1000), (9000, 9500)], [(1000, 2000, "paused"), (2000, 9000, "cut")], [(1000, 9000, "cut")]),
        ([(500, 1500), (0, 1000), (1400, 5000)], [(0, 5000, "paused")], []),  # covered by another track
        ([], [(0, 10, "paused")], []),
    ],
)  # fmt: skip
def test_each_gap_takes_the_reason_that_explains_most_of_it(covered, reasons, gaps):
    found = find_gaps(covered, [IndexGap(*reason) for reason in reasons])
    assert [(gap.from_ms, gap.to_ms, gap.why) for gap in found] == gaps
