"""What a killed process leaves, what a full disk does, and that erasure reaches the spool."""

from __future__ import annotations

import os
import shutil

import pytest

from recordings.capture.disk import Disk
from recordings.capture.recorder import NO_ROOM, CaptureState
from recordings.capture.spool import Spool, SpoolFull
from recordings.storage.layout import journal_key, recording_prefix, segment_key, track_of, track_prefix
from tests.recordings.scene import CAMERA, VOICE, Scene, play


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "spool")


def killed(scene: Scene, to) -> None:
    """kill -9: what is on the disk stays, what was in memory does not."""
    shutil.copytree(scene.root, to)
    scene.root = to
    scene.spool = scene.new_spool()
    scene.uploader = scene.new_uploader()


async def test_after_kill_9_all_but_the_last_half_second_is_there(scene, tmp_path):
    frames = scene.capture(scene.recorder(), 7.3)
    killed(scene, tmp_path / "after")
    await scene.store_all()
    summary = scene.finalise()
    assert summary.interrupted
    played = play(b"".join(scene.view(summary).read()))
    for kind, name in ((CAMERA, "video"), (VOICE, "audio")):
        sent = [frame for frame in frames if frame.kind is kind]
        got = played[name]
        assert [packet.data for packet in got] == [frame.data for frame in sent[: len(got)]]
        assert sent[-1].arrived_at - sent[len(got) - 1].arrived_at <= 0.6


@pytest.mark.parametrize("torn", [1, 3, 40, 3_000])
async def test_torn_tails_are_cut_and_the_rest_plays(scene, tmp_path, torn):
    """Power loss: the last writes of segment and journal are there in part, or as zeros."""
    scene.capture(scene.recorder(), 3.2)
    for kind in (CAMERA, VOICE):
        part = scene.root / (segment_key(scene.tracks[kind], 1, 0) + ".part")
        part.write_bytes(part.read_bytes()[: -min(torn, 500)])
        journal = scene.root / (journal_key(scene.tracks[kind], 1) + ".part")
        journal.write_bytes(journal.read_bytes() + bytes(torn))
    killed(scene, tmp_path / "after")
    await scene.store_all()
    summary = scene.finalise()
    assert summary.interrupted and 2_000 <= summary.duration_ms <= 3_000
    assert len(play(b"".join(scene.view(summary).read()))["video"]) >= 60


async def test_a_process_that_came_back_goes_on_in_another_take(scene, tmp_path):
    scene.capture(scene.recorder(take=1), 3)
    killed(scene, tmp_path / "after")
    scene.now += 2
    recorder = scene.recorder(take=2)
    scene.capture(recorder, 3)
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert [gap.why for gap in summary.gaps] == ["interrupted"] and summary.interrupted
    assert 7_900 <= summary.duration_ms <= 8_000


async def test_a_take_whose_journal_died_with_its_machine_is_read_from_its_segments(scene):
    recorder = scene.recorder()
    frames = scene.capture(recorder, 22)
    recorder.close()
    await scene.store_all()
    for kind in (CAMERA, VOICE):
        del scene.store.objects[journal_key(scene.tracks[kind], 1)]
    del scene.store.objects[segment_key(scene.tracks[CAMERA], 1, 2)]  # never uploaded, later ones were
    summary = scene.finalise()
    assert summary.interrupted
    played = play(b"".join(scene.view(summary).read()))
    sent = {frame.data for frame in frames if frame.kind is CAMERA}
    assert len(played["audio"]) == 22 * 50 and 500 < len(played["video"]) < 660
    assert all(packet.data in sent for packet in played["video"])
    # without sender reports only arrival is known: the 50 ms between the latencies stay
    assert abs(played["video"][0].at_ms - 50) <= 1 and played["audio"][0].at_ms == 0


async def test_a_full_spool_stops_visibly_and_goes_on_when_there_is_room(tmp_path):
    scene = Scene(tmp_path / "spool", quota_bytes=60_000)
    recorder = scene.recorder()
    seen: list[CaptureState] = []
    scene.capture(recorder, 12, each=lambda at: seen.append(recorder.health().state))
    assert recorder.health().state is CaptureState.FULL and CaptureState.RECORDING in seen
    assert not recorder.wants_key_frame(), "a key frame would have no place either"
    assert scene.spool.used_bytes < 60_000 + 20_000, "only journals go on"
    await scene.store_all()
    recorder.tick(scene.now)
    assert recorder.wants_key_frame()
    scene.capture(recorder, 3)
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert [gap.why for gap in summary.gaps if gap.kind is None] == [NO_ROOM]
    played = play(b"".join(scene.view(summary).read()))
    assert len([packet for packet in played["video"] if packet.at_ms >= 12_000]) == 90
    assert summary.duration_ms == 15_000 and not summary.interrupted


class HalfADisk(Disk):
    """Fills up in the middle of everything longer than a word."""

    def write(self, descriptor: int, data: bytes) -> int:
        return super().write(descriptor, data if len(data) < 6 else data[: len(data) // 2])


async def test_a_full_disk_leaves_pieces_whole(tmp_path):
    spool = Spool(tmp_path / "spool", 1 << 20, disk=HalfADisk())
    spool.append("a/s/00001-000000", b"whole")
    with pytest.raises(SpoolFull):
        spool.append("a/s/00001-000000", b"torn in two")
    spool.close("a/s/00001-000000")
    await spool.settle()
    (piece,) = spool.pieces()
    assert piece.path.read_bytes() == b"whole" and piece.bytes == 5 == spool.used_bytes


async def test_a_journal_waits_for_the_segments_of_its_take(scene):
    recorder = scene.recorder(permit=frozenset({VOICE}))
    scene.capture(recorder, 6)
    recorder.close()
    voice = scene.tracks[VOICE]
    await scene.spool.settle()
    ready = list(scene.spool.pieces())
    assert journal_key(voice, 1) not in [piece.key for piece in ready]
    for piece in ready:
        scene.spool.drop(piece)
    assert [piece.key for piece in scene.spool.pieces()] == [journal_key(voice, 1)]


def test_discarding_removes_files_open_files_and_folders_and_keeps_them_away(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 6)
    camera = track_prefix(scene.tracks[CAMERA])
    assert scene.spool.discard(camera) >= 3
    assert not list(scene.root.glob(f"{camera}**/*")) and not (scene.root / camera).exists()
    scene.capture(recorder, 6)
    assert scene.spool.waiting(camera).ready == scene.spool.waiting(camera).being_written == 0
    assert scene.spool.waiting(track_prefix(scene.tracks[VOICE])).ready > 0
    scene.spool.discard(recording_prefix(scene.ref))
    assert list(scene.root.iterdir()) == [] and scene.spool.used_bytes == 0


async def test_what_waits_is_told_by_track_the_same_however_it_came_and_went(scene):
    recorder = scene.recorder()
    camera, voice = (track_prefix(scene.tracks[kind]) for kind in (CAMERA, VOICE))

    def agree() -> int:
        oldest = {track: scene.spool.waiting(track).oldest_since for track in (camera, voice)}
        assert {track: scene.spool.oldest_of_track(track) for track in oldest} == oldest
        assert scene.spool.oldest_of_tracks() == {track: since for track, since in oldest.items() if since is not None}
        assert scene.spool.pieces_waiting == scene.spool.waiting().ready
        assert scene.spool.waiting().ready == sum(scene.spool.waiting(track).ready for track in oldest)
        assert scene.spool.waiting(f"{camera}s/").ready <= scene.spool.waiting(camera).ready
        return scene.spool.pieces_waiting

    assert agree() == 0
    scene.capture(recorder, 11)
    closed = agree()
    assert closed >= 4
    await scene.spool.settle()
    assert agree() == closed
    first = next(iter(scene.spool.pieces()))
    before = scene.spool.oldest_of_track(track_of(first.key))
    scene.spool.drop(first)
    assert agree() == closed - 1 and scene.spool.oldest_of_track(track_of(first.key)) > before
    scene.spool = Spool(scene.root, 1 << 30)  # after a crash
    scene.spool.recover()
    assert agree() >= closed - 1
    scene.spool.discard(camera)
    assert agree() > 0 and scene.spool.oldest_of_track(camera) is None
    scene.spool.discard(voice)
    assert agree() == 0


def test_what_is_discarded_is_every_key_in_that_folder_and_none_beside_it(scene):
    person, beside = "a/s/p/", "a/s/p2/r/t/s/00001-00001"
    scene.spool.discard(person)
    keys = [f"{person}r/t/s/00001-00001", f"{person}r/t/j/00001", beside, "a/s/q/r/t/j/00001"]
    assert [scene.spool.is_discarded(key) for key in keys] == [True, True, False, False]
    scene.spool.append(beside, b"sealed")
    assert scene.spool.append(keys[0], b"sealed") == 0
    assert scene.spool.waiting().being_written == 1


def test_a_take_number_is_never_used_twice(scene):
    scene.capture(scene.recorder(take=1), 1)
    scene.spool = Spool(scene.root, 1 << 30)  # a second process on the same folder
    with pytest.raises(FileExistsError):
        scene.recorder(take=1)


def test_after_a_crash_the_oldest_is_what_was_written_first_whatever_had_to_be_cut(scene):
    scene.capture(scene.recorder(), 1)
    camera = track_prefix(scene.tracks[CAMERA])
    parts = sorted((scene.root / camera).rglob("*.part"))
    for written_at, part in enumerate(parts, start=1_000):
        part.write_bytes(part.read_bytes() + b"torn")
        os.utime(part, (written_at, written_at))
    scene.spool = Spool(scene.root, 1 << 30)
    scene.spool.recover()
    assert len(parts) == 2
    assert scene.spool.oldest_of_track(camera) == scene.spool.waiting(camera).oldest_since == 1_000


def test_files_belong_to_us_alone(scene):
    scene.capture(scene.recorder(), 1)
    files = [path for path in scene.root.rglob("*") if path.is_file()]
    assert files and all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_stray_file_beside_the_spool_is_left_alone(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("from a person")
    assert Spool(tmp_path, 1_000_000).recover() == 0
    assert (tmp_path / "notes.txt").exists()
