"""What a power cut leaves: the order in which bytes and names are put on the disk, and who may use the folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recordings.capture.disk import Disk, SpoolTaken, claim
from recordings.capture.spool import Spool, SpoolFull
from tests.recordings.scene import Scene


class Told(Disk):
    """Does everything, and notes it by the name of the file or folder."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.names: dict[int, str] = {}
        self.broken = False

    def open(self, path: Path) -> int:
        descriptor = super().open(path)
        self.names[descriptor] = path.name
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        self.calls.append(("write", self.names[descriptor]))
        return super().write(descriptor, data)

    def sync_file(self, descriptor: int) -> None:
        self.calls.append(("sync", self.names[descriptor]))
        if self.broken:
            raise OSError("Input/output error")
        super().sync_file(descriptor)

    def rename(self, part: Path, path: Path) -> None:
        self.calls.append(("rename", path.name))
        super().rename(part, path)

    def sync_folder(self, folder: Path) -> None:
        self.calls.append(("sync folder", folder.name))
        super().sync_folder(folder)


KEY = "account/session/s/00001-000000"


async def test_bytes_are_on_the_disk_before_their_name_and_the_name_before_anybody_may_store_them(
    tmp_path: Path,
) -> None:
    told = Told()
    spool = Spool(tmp_path / "spool", 1 << 20, disk=told)
    spool.append(KEY, b"sealed")
    spool.close(KEY)
    assert list(spool.pieces()) == [], "not certain to be on the disk"
    assert spool.waiting().ready == 1
    await spool.settle()
    part, name = "00001-000000.part", "00001-000000"
    assert told.calls[:3] == [("write", part), ("sync", part), ("rename", name)]
    assert sorted(told.calls[3:]) == [("sync folder", folder) for folder in ("account", "s", "session", "spool")]
    assert [piece.key for piece in spool.pieces()] == [KEY]


async def test_what_is_being_written_is_put_on_the_disk_once_and_again_when_there_is_more(tmp_path: Path) -> None:
    told = Told()
    spool = Spool(tmp_path / "spool", 1 << 20, disk=told)
    for _ in range(2):
        spool.append(KEY, b"sealed")
        for _ in range(3):
            await spool.settle(everything=True)
    assert [what for what, _ in told.calls if what in ("write", "sync")] == ["write", "sync"] * 2
    assert ("rename", "00001-000000") not in told.calls


async def test_a_disk_that_cannot_sync_is_counted_and_holds_nothing_back(tmp_path: Path) -> None:
    told = Told()
    told.broken = True
    spool = Spool(tmp_path / "spool", 1 << 20, disk=told)
    spool.append(KEY, b"sealed")
    spool.close(KEY)
    await spool.settle()
    assert spool.failed_syncs == 1
    assert [piece.path.read_bytes() for piece in spool.pieces()] == [b"sealed"]


async def test_what_is_erased_while_the_disk_is_waited_for_does_not_come_back(tmp_path: Path) -> None:
    class Slow(Told):
        def sync_file(self, descriptor: int) -> None:
            assert spool.discard("account/") == 1
            super().sync_file(descriptor)

    spool = Spool(tmp_path / "spool", 1 << 20, disk=Slow())
    spool.append(KEY, b"sealed")
    spool.close(KEY)
    await spool.settle()
    assert list(spool.pieces()) == []
    assert spool.used_bytes == spool.waiting().ready == 0
    assert list((tmp_path / "spool").iterdir()) == []


async def test_after_a_power_cut_the_same_bytes_are_stored_again(tmp_path: Path) -> None:
    """The piece was stored, but neither its new name nor its removal reached the disk."""
    scene = Scene(tmp_path / "spool")
    scene.capture(scene.recorder(), 6)
    await scene.spool.settle(everything=True)
    before = {path: path.read_bytes() for path in scene.root.rglob("*") if path.is_file()}
    await scene.uploader.round()
    stored = dict(scene.store.objects)
    assert stored
    for path, content in before.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        old_name = path if path.suffix else path.with_name(path.name + ".part")
        old_name.write_bytes(content)
        if path != old_name:
            path.unlink(missing_ok=True)
    scene.spool = scene.new_spool()
    scene.uploader = scene.new_uploader()
    await scene.store_all()
    assert all(scene.store.objects[key] == data for key, data in stored.items())
    assert scene.uploader.health().failing is None


def test_room_is_what_quota_and_disk_leave(tmp_path: Path) -> None:
    class Nearly(Disk):
        free = 5_000_000

        def free_bytes(self, folder: Path) -> int:
            return self.free

    disk = Nearly()
    spool = Spool(tmp_path / "spool", 1 << 30, reserve_bytes=4_000_000, disk=disk)
    assert spool.room_bytes == 1_000_000
    disk.free = 4_000_000
    with pytest.raises(SpoolFull):
        spool.append(KEY, b"sealed")
    spool.append("account/session/j/00001", b"what happened", reserve=True)


def test_a_second_process_on_the_same_folder_is_refused_in_words(tmp_path: Path) -> None:
    claimed = claim(tmp_path / "spool")
    code = "import sys, pathlib; from recordings.capture.disk import claim; claim(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "spool")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode
    assert "JUNIER_NODE_NAME" in refused.stderr
    with pytest.raises(SpoolTaken):
        claim(tmp_path / "spool")
    os.close(claimed)
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 0
