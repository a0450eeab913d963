"""What the spool asks of the local disk, and the order in which a finished file is made to last.

The order is the power-loss rule (decision 12): bytes, then their name. A file that has its final name after a
power cut is whole, so storing it again is storing the same bytes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

PART = ".part"
_What = TypeVar("_What")


class SpoolTaken(Exception):
    """Another media process already works in this spool folder. Give each its own JUNIER_NODE_NAME."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Disk:
    """The operating system's calls, one by one; tests put a recording or a failing one in their place."""

    def open(self, path: Path) -> int:
        """A new file, for appending."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data)

    def sync_file(self, descriptor: int) -> None:
        """Content and length; not the times, which cost a second write. Not every system knows the difference."""
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def rename(self, part: Path, path: Path) -> None:
        os.rename(part, path)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, folder: Path) -> int:
        """What this user may still write there."""
        try:
            facts = os.statvfs(folder)
        except OSError:
            return 0
        return facts.f_bavail * facts.f_frsize


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A file nothing is added to any more: `path` is the name it will have."""

    path: Path
    descriptor: int

    @property
    def part(self) -> Path:
        return part_of(self.path)


def claim(root: Path) -> int:
    """Take the spool folder for this process, until it ends or closes the descriptor that is returned.
    Raises SpoolTaken: two processes would take each other's pieces for leftovers."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SpoolTaken() from None
    return descriptor


def part_of(path: Path) -> Path:
    """The name of a file that is being written."""
    return path.with_name(path.name + PART)


def put_on_disk(disk: Disk, growing: Iterable[int], finished: Sequence[Finished], folders: Iterable[Path]) -> int:
    """Make what has been written last through a power cut, and give finished files their names; runs in a thread.

    growing: descriptors of files that go on; folders: those with new names in them, besides the finished ones'.
    A disk that cannot sync keeps nothing back, the object store is the better place then; returns how often it
    could not.
    """
    failed = 0
    for descriptor in growing:
        failed += not _done(disk.sync_file, descriptor)
    for one in finished:
        failed += not _done(disk.sync_file, one.descriptor)
        os.close(one.descriptor)
        failed += not _done(lambda one: disk.rename(one.part, one.path), one)
    for folder in {*folders, *(one.path.parent for one in finished)}:
        failed += not _done(disk.sync_folder, folder)
    return failed


def _done(step: Callable[[_What], None], what: _What) -> bool:
    try:
        step(what)
    except FileNotFoundError:  # erased meanwhile: nothing is left to be lost
        return True
    except OSError:
        return False
    return True
