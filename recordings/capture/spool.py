"""The spool: sealed pieces on the local disk between capture and the object store.

    <root>/<object key>.part   being written, append-only; or closed and not yet certain to be on the disk
    <root>/<object key>        ready: closed, on the disk, waiting to be stored

Nothing is written in clear. What a killed process leaves is whole except for the last message;
`recover` cuts that and makes the rest ready. Calls are short and come from one thread, the event
loop's; only waiting for the disk (`settle`) and the reading of ready pieces happen elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recordings.capture.disk import PART, Disk, Finished, part_of, put_on_disk
from recordings.encryption.sealed import frame_messages
from recordings.model import AccountId, RecordingId
from recordings.storage.layout import checked_key, is_segment, recording_and_take, track_and_take, track_of

JOURNAL_RESERVE_BYTES = 16 << 20
_ROOM_TO_RESUME_BYTES = 1 << 20
SETTLE_S = 1.0
"""How old what was written may become before it is put on the disk: that, and a chunk, is what a power cut takes."""


class SpoolFull(Exception):
    """The local disk has no room for more media; capture pauses until pieces have been stored."""

    retry = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One file that is ready to become the object `key`. since: UTC seconds when it was closed."""

    key: str
    path: Path
    bytes: int
    since: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What the object store does not have yet. ready: closed; oldest_since: of those, None without any."""

    being_written: int
    ready: int
    bytes: int
    oldest_since: float | None


@dataclass(slots=True)
class _Part:
    descriptor: int
    bytes: int = 0
    dirty: bool = False  # something was written since it was last put on the disk


@dataclass(slots=True)
class _Closed:
    piece: Piece
    descriptor: int
    doomed: bool = False  # discarded while it waits for the disk


class Spool:
    """Files under `root`, at most `quota_bytes` of them plus a reserve for journals.

    now: server UTC in seconds; reserve_bytes: kept free of media on the disk and beyond the quota, so that
    journals can say what happened. `recover` comes before the first recorder starts.
    """

    def __init__(
        self,
        root: Path,
        quota_bytes: int,
        now: Callable[[], float] = time.time,
        *,
        reserve_bytes: int = JOURNAL_RESERVE_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self._root, self._quota, self._reserve, self._now = root, quota_bytes, reserve_bytes, now
        self._disk = disk or Disk()
        self._parts: dict[str, _Part] = {}
        self._closed: dict[str, _Closed] = {}
        self._ready: dict[str, Piece] = {}
        self._of_tracks: dict[str, dict[str, Piece]] = {}  # closed or ready, by track prefix, oldest first
        self._segments: Counter[str] = Counter()  # segments not stored yet, by track and take
        self._discarded: frozenset[str] = frozenset()  # replaced, never changed: threads look at it
        self._new_names: set[Path] = set()  # folders in which something was made since the last settling
        self._settling = asyncio.Lock()
        self._used = 0
        self.failed_syncs = 0
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def quota_bytes(self) -> int:
        return self._quota

    @property
    def used_bytes(self) -> int:
        return self._used

    @property
    def room_bytes(self) -> int:
        """What media may still take, by quota and by disk."""
        return max(0, min(self._quota - self._used, self._disk.free_bytes(self._root) - self._reserve))

    @property
    def has_room(self) -> bool:
        """Whether capture that stopped for want of room should go on: enough that it does not stop at once."""
        return self.room_bytes >= min(_ROOM_TO_RESUME_BYTES, self._quota // 4)

    def append(self, key: str, data: bytes, *, reserve: bool = False) -> int:
        """Append to the piece `key`, opening it first, and return where the data begins in it.

        reserve: may use the room kept for journals. Raises SpoolFull and leaves the piece as it was.
        Under a discarded prefix nothing is written: what is erased must not come back.
        """
        if self.is_discarded(key):
            return 0
        if len(data) > (self._quota + self._reserve - self._used if reserve else self.room_bytes):
            raise SpoolFull(SpoolFull.__doc__)
        part = self._parts.get(key) or self._open(key)
        start = part.bytes
        try:
            written = self._disk.write(part.descriptor, data)
        except OSError as refused:
            os.ftruncate(part.descriptor, start)
            raise SpoolFull(str(refused)) from refused
        if written != len(data):  # the disk filled up in the middle; a torn message must not stay
            os.ftruncate(part.descriptor, start)
            raise SpoolFull(SpoolFull.__doc__)
        part.bytes += written
        part.dirty = True
        self._used += written
        return start

    def close(self, key: str) -> None:
        """The piece is complete and may be stored as soon as it is on the disk. Safe to call twice or for nothing."""
        part = self._parts.pop(key, None)
        if part is None:
            return
        piece = Piece(key=key, path=self._path(key), bytes=part.bytes, since=self._now())
        self._closed[key] = _Closed(piece, part.descriptor)
        self._index(piece)

    async def settle(self, *, everything: bool = False) -> None:
        """Put closed pieces on the disk and make them ready; everything: also what is still being written."""
        await asyncio.shield(asyncio.ensure_future(self._settle(everything)))  # half done it would lose descriptors

    async def _settle(self, everything: bool) -> None:
        """The disk is waited for in a thread, one at a time, and descriptors are closed there: none is synced that
        has become another file's."""
        async with self._settling:
            closed = list(self._closed.items())
            growing = [part for part in self._parts.values() if part.dirty] if everything else []
            if not closed and not growing:
                return
            for part in growing:
                part.dirty = False
            folders, self._new_names = self._new_names, set()
            finished = [Finished(path=one.piece.path, descriptor=one.descriptor) for _, one in closed]
            descriptors = [part.descriptor for part in growing]
            self.failed_syncs += await asyncio.to_thread(put_on_disk, self._disk, descriptors, finished, folders)
            for key, one in closed:
                del self._closed[key]
                if not one.doomed:
                    self._ready[key] = one.piece

    async def keep_settled(self) -> None:
        """Settle everything once a second, until cancelled."""
        while True:
            await self.settle(everything=True)
            await asyncio.sleep(SETTLE_S)

    def pieces(self) -> Iterator[Piece]:
        """Ready pieces, oldest first. A journal waits for all segments of its take, so that a
        stored journal proves a stored take."""
        for piece in list(self._ready.values()):
            if is_segment(piece.key) or not self._segments[track_and_take(piece.key)]:
                yield piece

    def takes(self) -> set[tuple[AccountId, RecordingId, int]]:
        """Of which something is ready and waits; asked after `recover`."""
        return {recording_and_take(key) for key in self._ready}

    def drop(self, piece: Piece) -> None:
        """The piece is stored elsewhere (or erased): remove it here."""
        if self._ready.pop(piece.key, None) is not None:
            self._remove(piece)

    def waiting(self, prefix: str = "") -> Waiting:
        """What lies here under `prefix`; nothing waiting means everything is stored. Rooms and ended takes ask often,
        also while the store has been away for hours, so only tracks that it may be about are gone through."""
        parts = [part for key, part in self._parts.items() if key.startswith(prefix)]
        found = [
            pieces for track, pieces in self._of_tracks.items() if track.startswith(prefix) or prefix.startswith(track)
        ]
        ready = [piece for pieces in found for piece in pieces.values() if piece.key.startswith(prefix)]
        return Waiting(
            being_written=len(parts),
            ready=len(ready),
            bytes=sum(part.bytes for part in parts) + sum(piece.bytes for piece in ready),
            oldest_since=min((piece.since for piece in ready), default=None),
        )

    @property
    def pieces_waiting(self) -> int:
        """Closed, and not stored yet."""
        return sum(map(len, self._of_tracks.values()))

    def oldest_of_track(self, track: str) -> float | None:
        """By its prefix: when the oldest piece of it that waits was closed; None without any."""
        return next((piece.since for piece in self._of_tracks.get(track, {}).values()), None)

    def oldest_of_tracks(self) -> dict[str, float]:
        """The same of every track of which something waits."""
        return {track: next(iter(pieces.values())).since for track, pieces in self._of_tracks.items()}

    def recover(self) -> int:
        """After a start: everything that lies here becomes ready, torn tails cut; returns how many
        pieces. Journals of takes that died have no end and tell by that."""
        found = [path for path in self._root.rglob("*") if path.is_file() and path.parent != self._root]  # not ours
        written = sorted((path.stat().st_mtime, path) for path in found)  # before cutting, which may count as writing
        for since, path in written:
            if path.name.endswith(PART):
                path = self._whole(path)
            key = path.relative_to(self._root).as_posix()
            size = path.stat().st_size
            if size == 0 or key in self._parts:
                path.unlink(missing_ok=True)
                continue
            if key not in self._ready:
                piece = self._ready[key] = Piece(key=key, path=path, bytes=size, since=since)
                self._index(piece)
                self._remember(key, size)
        return len(self._ready)

    def discard(self, prefix: str) -> int:
        """Erasure: remove everything under `prefix`, which ends with a slash, refuse any more of it, and return how
        many pieces went. Safe to run twice."""
        self._discarded |= {prefix}
        for key in [key for key in self._parts if key.startswith(prefix)]:
            self.close(key)
        closed = [one for key, one in self._closed.items() if key.startswith(prefix) and not one.doomed]
        for one in closed:
            one.doomed = True
            part_of(one.piece.path).unlink(missing_ok=True)  # first: once it is gone it cannot get its name any more
            self._remove(one.piece)
        doomed = [piece for key, piece in self._ready.items() if key.startswith(prefix)]
        for piece in doomed:
            self.drop(piece)
        return len(closed) + len(doomed)

    def is_discarded(self, key: str) -> bool:
        """Asked for every chunk, so by the folders of the key: prefixes only get more while the process lives."""
        end = key.find("/")
        while end >= 0 and key[: end + 1] not in self._discarded:
            end = key.find("/", end + 1)
        return end >= 0

    def _open(self, key: str) -> _Part:
        path = self._path(key)
        try:
            self._make_folder(path.parent)
            descriptor = self._disk.open(part_of(path))
        except FileExistsError:  # a take has been numbered twice: a bug, not a full disk
            raise
        except OSError as refused:
            raise SpoolFull(str(refused)) from refused
        self._new_names.add(path.parent)
        part = self._parts[key] = _Part(descriptor)
        self._remember(key, 0)
        return part

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True, mode=0o700)
            self._new_names.add(folder.parent)

    def _index(self, piece: Piece) -> None:
        self._of_tracks.setdefault(track_of(piece.key), {})[piece.key] = piece

    def _remove(self, piece: Piece) -> None:
        track = track_of(piece.key)
        del self._of_tracks[track][piece.key]
        if not self._of_tracks[track]:
            del self._of_tracks[track]
        piece.path.unlink(missing_ok=True)
        self._prune(piece.path.parent)
        self._forget(piece.key, piece.bytes)

    def _whole(self, part: Path) -> Path:
        """Cut a torn tail and close what a dead process left open."""
        whole_bytes = frame_messages(part.read_bytes()).whole_bytes
        os.truncate(part, whole_bytes)
        path = part.with_name(part.name.removesuffix(PART))
        put_on_disk(self._disk, (), [Finished(path=path, descriptor=os.open(part, os.O_WRONLY | os.O_CLOEXEC))], ())
        return path

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _prune(self, folder: Path) -> None:
        """Remove folders nothing lies in any more: their names are ids of people and sessions."""
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # not empty
                return
            folder = folder.parent

    def _remember(self, key: str, size: int) -> None:
        self._used += size
        if is_segment(key):
            self._segments[track_and_take(key)] += 1

    def _forget(self, key: str, size: int) -> None:
        self._used -= size
        if is_segment(key):
            self._segments[track_and_take(key)] -= 1
            self._segments += Counter()  # forgets takes with nothing left
