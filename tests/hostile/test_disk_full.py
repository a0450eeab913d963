"""No room on the server: recording stops visibly, what exists stays whole, and it goes on by itself, with the gap and
its reason in the index."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.room.health import Why, Word
from recordings.capture.disk import Disk
from recordings.capture.recorder import NO_ROOM, CaptureState
from recordings.capture.spool import Spool
from recordings.model import TrackKind
from tests.app.loopback import accept, offering, until
from tests.app.node_scene import rooms
from tests.app.room_stage import allow
from tests.recordings.scene import CAMERA, Scene, play

DISK_MB = 8
RESERVE_BYTES = 1 << 20


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own, as small as that."""
    folder = Path(tempfile.mkdtemp(prefix="junier-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700,nr_inodes=1000", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here ({made.stderr.strip() or os.getuid()})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def on_disk(scene: Scene, folder: Path) -> Scene:
    """The scene's spool on that disk, with room for journals but no quota worth the name."""
    scene.root = folder / "spool"
    scene.spool = Spool(scene.root, 1 << 30, lambda: scene.now, reserve_bytes=RESERVE_BYTES)
    scene.uploader = scene.new_uploader()
    return scene


async def test_a_real_full_disk_stops_visibly_keeps_all_and_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    scene = on_disk(Scene(tmp_path / "unused"), small_disk)
    recorder = scene.recorder()
    frames = scene.capture(recorder, 4)
    other = small_disk / "somebody else's file"
    other.write_bytes(bytes(Disk().free_bytes(small_disk) - RESERVE_BYTES))
    states: list[CaptureState] = []
    scene.capture(recorder, 10, each=lambda at: states.append(recorder.health().state))
    assert states[-1] is CaptureState.FULL
    assert states.count(CaptureState.RECORDING) < len(states) / 5, "it does not flap"
    kept = recorder.health().tracks[CAMERA].frames

    await scene.store_all()
    recorder.tick(scene.now)
    assert recorder.health().state is CaptureState.FULL, "what was stored was not the reason"
    assert recorder.health().tracks[CAMERA].frames == kept
    other.unlink()
    recorder.tick(scene.now)
    assert recorder.wants_key_frame()
    scene.capture(recorder, 5)
    assert recorder.health().state is CaptureState.RECORDING
    recorder.close()
    await scene.store_all()

    summary = scene.finalise()
    assert [gap.why for gap in summary.gaps if gap.kind is None] == [NO_ROOM]
    assert not summary.interrupted
    assert summary.duration_ms == pytest.approx(19_000, abs=100)
    pictures = play(b"".join(scene.view(summary).read()))["video"]
    sent = [frame.data for frame in frames if frame.kind is CAMERA]
    before = [packet.data for packet in pictures if packet.at_ms < summary.gaps[0].from_ms]
    assert before[: len(sent) - 15] == sent[: len(before)][: len(sent) - 15], "what was kept before is whole"
    assert len([packet for packet in pictures if packet.at_ms >= 14_000]) == 150


async def test_not_even_room_for_the_journal_and_still_what_exists_plays(small_disk: Path, tmp_path: Path) -> None:
    """Somebody else takes the reserve too: every write fails, at every moment there is."""
    scene = on_disk(Scene(tmp_path / "unused"), small_disk)
    recorder = scene.recorder()
    scene.capture(recorder, 4)
    other = small_disk / "somebody else's file"
    with open(other, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    scene.capture(recorder, 6)
    assert recorder.health().state is CaptureState.FULL
    other.unlink()
    recorder.tick(scene.now)
    scene.capture(recorder, 5)
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert [(gap.from_ms > 3_000, gap.to_ms >= 9_900) for gap in summary.gaps if gap.kind is None] == [(True, True)]
    packets = play(b"".join(scene.view(summary).read()))["video"]
    assert len([packet for packet in packets if packet.at_ms >= 9_900]) == 150


async def test_the_room_is_told_that_there_is_no_room_and_that_there_is_again(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:

        class Filling(Disk):
            full = False

            def free_bytes(self, folder: Path) -> int:
                return 0 if self.full else super().free_bytes(folder)

        disk = scene.spool._disk = Filling()
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        try:
            made = await scene.rooms.publish(ask)
            await accept(pc, made.sdp)

            def state() -> str:
                scene.clock += 0.1
                scene.rooms.permit(ask.session, allow(ask, as_of=asyncio.get_running_loop().time()))
                return scene.stream(ask).state

            def told_in_a_word() -> bool:
                health = scene.stream(ask).health
                return health is not None and health.word is Word.NOT_STORED and Why.NO_ROOM in health.why

            await until(lambda: state() == CaptureState.RECORDING, "it records")
            disk.full = True
            await until(lambda: state() == CaptureState.FULL, "the room is told")
            await until(lambda: state() and told_in_a_word(), "by its line too")
            kept = scene.kept(ask, TrackKind.CAMERA)
            disk.full = False
            await until(lambda: state() == CaptureState.RECORDING, "it goes on by itself")
            await until(lambda: state() and scene.kept(ask, TrackKind.CAMERA) > kept + 5, "frames are kept again")
        finally:
            await pc.close()
