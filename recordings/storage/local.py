"""ObjectStore in a folder of this machine.

    {root}/{key}                              one object
    {root}/{folder}/.{name}.{32 hex}.part     an object still being written ("open upload")

An object appears under its key only when all of it is on disk. A key never begins a step with a
dot, so nothing outside `root` and no unfinished file can be reached by key.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from recordings.storage.layout import checked_key, checked_prefix
from recordings.storage.store import (
    ObjectExists,
    ObjectMissing,
    Stored,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

_PART = re.compile(r"\.(?P<name>.+)\.(?P<upload>[0-9a-f]{32})\.part")
_TRIES = 100
"""Each is lost only to a sweep between two calls of the system."""
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class LocalStore:
    """Safe to use from several threads and processes on one machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._root / checked_key(key)
        part = path.with_name(f".{path.name}.{uuid4().hex}.part")
        with _told():
            try:
                _write(part, data)
                os.link(part, path)  # unlike a rename, a link never replaces what is there
            except FileExistsError:
                if path.is_dir() or path.read_bytes() != data:
                    raise ObjectExists() from None
            finally:
                part.unlink(missing_ok=True)
                _sync_folder(part.parent)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with _told(), open(self._root / checked_key(key), "rb") as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def list(self, prefix: str) -> Iterator[Stored]:
        return (thing for thing in self.remains(prefix) if thing.what == "object")

    def remains(self, prefix: str) -> Iterator[Stored]:
        with _told():
            held = list(self._held(checked_prefix(prefix)))
        return iter(sorted(held, key=lambda thing: (thing.key, thing.version)))

    def delete(self, things: Iterable[Stored]) -> Sequence[tuple[Stored, str]]:
        refused = []
        for thing in things:
            try:
                with _told():
                    self._remove(self._path_of(thing))
            except ObjectMissing:
                continue
            except StoreError as error:
                refused.append((thing, str(error)))
        return refused

    def check(self) -> str:
        with _told():
            _write(probe := self._root / f".probe.{uuid4().hex}.part", b"probe")
            probe.unlink()
            free = shutil.disk_usage(self._root).free
        return f"Objects are kept in the folder {self._root} of this machine, {free / 1e9:.1f} GB free."

    def _held(self, prefix: str) -> Iterator[Stored]:
        top = self._root / prefix.rpartition("/")[0]
        for folder, _, names in os.walk(top):
            inside = Path(folder).relative_to(self._root)
            for name in names:
                part = _PART.fullmatch(name)
                key = (inside / (part["name"] if part else name)).as_posix()
                if not key.startswith(prefix):
                    continue
                try:
                    size = os.stat(os.path.join(folder, name)).st_size
                except FileNotFoundError:  # removed or finished since the folder was read
                    continue
                if part:
                    yield Stored(key=key, size=size, version=part["upload"], what="open upload")
                else:
                    yield Stored(key=key, size=size)

    def _path_of(self, thing: Stored) -> Path:
        path = self._root / checked_key(thing.key)
        if thing.what != "open upload":
            return path
        part = path.with_name(f".{path.name}.{thing.version}.part")
        if not _PART.fullmatch(part.name):
            raise ValueError("not an open upload")
        return part

    def _remove(self, path: Path) -> None:
        path.unlink()
        _sync_folder(path.parent)
        for folder in path.relative_to(self._root).parents[:-1]:
            try:
                (self._root / folder).rmdir()  # folders hold ids as well
            except OSError:
                break  # still in use


def _write(path: Path, data: bytes) -> None:
    """Write a new file and put it on disk. A folder, or one above it that is being made, may be swept away by
    `delete` while it is still empty, so making it is tried again."""
    for attempt in range(1, _TRIES + 1):
        try:
            _make_folder(path.parent)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            break
        except FileNotFoundError:
            if attempt == _TRIES:
                raise
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Like mkdir -p, with every new name on disk."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # swept away: nothing in it is left to be lost
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the file system says into the errors of the port."""
    try:
        yield
    except _MISSING as error:
        raise ObjectMissing() from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull() from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreRefused(error.strerror or "") from error
        raise StoreUnavailable(error.strerror or "") from error
