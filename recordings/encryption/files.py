"""Small files that are whole or not there, on disk when written, and overwritten before they go: for key stores."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recordings.encryption.keystore import KeyStoreUnavailable

PART = ".part"
"""End of the name of a file that is still being written."""


def put(file: Path, data: bytes) -> None:
    """All of `data` under that name, or nothing; on disk when this returns."""
    part = file.with_name(file.name + PART)
    write(part, data)
    part.rename(file)
    sync_folder(file.parent)


def write(file: Path, data: bytes) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def shred(file: Path) -> None:
    """Overwrite and remove. What a disk keeps of the old bytes all the same opens only with keys that are gone."""
    with open(file, "r+b") as opened:
        opened.write(os.urandom(file.stat().st_size))
        opened.flush()
        os.fsync(opened.fileno())
    file.unlink()
    sync_folder(file.parent)


def make_folder(folder: Path) -> None:
    """Like mkdir -p, for the owner only, with every new name on disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(file: Path | str, mode: int) -> Iterator[None]:
    """flock; each call opens the file anew, so threads of one process exclude each other as well."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def told() -> Iterator[None]:
    """Turn what the file system says into an error of the port."""
    try:
        yield
    except OSError as error:
        raise KeyStoreUnavailable(error.strerror or "") from error
