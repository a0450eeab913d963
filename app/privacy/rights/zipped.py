"""A ZIP archive (APPNOTE 6.3, with ZIP64) that is written while it is sent: nothing of it ever lies on a disk, memory
stays the size of one piece, and its whole length is known before the first byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from zipstream import ZipStream

CHECKSUMS = "checksums.sha256"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of the archive. size: of what read() yields, exactly; read may block and may raise, which ends the
    answer early, so that a browser tells of a failed download. path: ASCII."""

    path: str
    size: int
    read: Callable[[], Iterable[bytes]]


def text_file(path: str, content: bytes) -> File:
    return File(path=path, size=len(content), read=lambda: (content,))


@dataclass(frozen=True)
class Archive:
    """The files, in order, and last the list of their SHA-256 sums as `sha256sum --check` reads it."""

    files: Sequence[File]

    @property
    def size(self) -> int:
        return len(self._stream(lambda: iter(())))

    def read(self) -> Iterator[bytes]:
        """Blocks."""
        sums: dict[str, str] = {}
        yield from self._stream(lambda: iter([_checksums(sums)]), sums)

    def _stream(self, checksums: Callable[[], Iterator[bytes]], sums: dict[str, str] | None = None) -> ZipStream:
        stream = ZipStream(sized=True)
        for file in self.files:
            stream.add(_noted(file, sums), file.path, size=file.size)
        named = _checksums({file.path: "0" * 64 for file in self.files})
        stream.add(_later(checksums), CHECKSUMS, size=len(named))
        return stream


class Growing:
    """An archive whose files are found on the way: each is written as it comes, and the list of sums last."""

    def __init__(self) -> None:
        self._stream, self._sums = ZipStream(), dict[str, str]()

    def add(self, files: Iterable[File]) -> Iterator[bytes]:
        """Blocks, and may raise as read() of a file does."""
        for file in files:
            self._stream.add(_noted(file, self._sums), file.path, size=file.size)
            yield from self._stream.all_files()

    def end(self) -> Iterator[bytes]:
        self._stream.add(_checksums(self._sums), CHECKSUMS)
        yield from self._stream.finalize()


def _later(read: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Asked for when its turn comes."""
    yield from read()


def _noted(file: File, sums: dict[str, str] | None) -> Iterator[bytes]:
    """What the file has, its sum written down on the way. Raises ValueError when it is not of the size it said."""
    digest, length = hashlib.sha256(), 0
    for piece in file.read():
        digest.update(piece)
        length += len(piece)
        yield piece
    if length != file.size:
        raise ValueError("a file of the copy changed while it was sent")
    if sums is not None:
        sums[file.path] = digest.hexdigest()


def _checksums(sums: dict[str, str]) -> bytes:
    return "".join(f"{digest}  {path}\n" for path, digest in sums.items()).encode("ascii")
