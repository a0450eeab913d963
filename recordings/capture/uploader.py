"""The uploader: ready pieces of the spool -> the object store, as often as it takes.

A piece leaves the spool only after the store has it, and storing the same bytes again is accepted
(storage/store.py), so neither a lost answer nor a killed process loses or doubles anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recordings.capture.segmenter import SEGMENT_S
from recordings.capture.spool import Piece, Spool
from recordings.storage.store import ObjectStore, StoreError

_IDLE_S = 0.2
_LONGEST_WAIT_S = 10.0
_ASK_AGAIN_S = 30.0  # an operator may have mended what the store refused


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadHealth:
    """What an operator is told. oldest_waiting_s: age of the oldest piece not stored yet, the alarm;
    failing: the store's last complaint, None when it answers; refused: pieces it will not take;
    stored, failures: pieces stored and tries that failed since the start; last_stored_at: UTC seconds, 0 before."""

    pieces: int
    bytes: int
    oldest_waiting_s: float
    failing: str | None
    refused: int
    stored: int = 0
    failures: int = 0
    last_stored_at: float = 0.0


class Uploader:
    """Runs in an event loop, puts in threads. on_stored is called in the loop after each piece."""

    def __init__(
        self,
        spool: Spool,
        store: ObjectStore,
        on_stored: Callable[[Piece], None] = lambda piece: None,
        *,
        lanes: int = 4,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._spool, self._store, self._on_stored = spool, store, on_stored
        self._lanes, self._now = lanes, now
        self._in_flight: set[str] = set()
        self._refused: dict[str, float] = {}  # key -> when to ask again
        self._failing: str | None = None
        self._stop_round = False
        self._stored_up_to: dict[str, float] = {}
        self._stored = self._failures = 0
        self._last_stored_at = 0.0

    async def run(self) -> None:
        """Store pieces until cancelled; waits longer after each failed round, at most ten seconds."""
        wait_s = _IDLE_S
        while True:
            await self.round()
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S) if self._failing else _IDLE_S
            await asyncio.sleep(wait_s)

    async def round(self) -> int:
        """Offer every ready piece once, stopping at a failure that waiting may mend; returns how
        many were stored."""
        self._stop_round = False
        ready = list(self._spool.pieces())
        if not ready:
            return 0
        pieces = iter(ready)
        return sum(await asyncio.gather(*(self._lane(pieces) for _ in range(self._lanes))))

    async def discard(self, prefix: str) -> int:
        """Erasure: drop everything under `prefix` here, and return once nothing of it is on its way
        to the store any more."""
        dropped = self._spool.discard(prefix)
        self._refused = {key: again for key, again in self._refused.items() if not key.startswith(prefix)}
        while any(key.startswith(prefix) for key in self._in_flight):
            await asyncio.sleep(_IDLE_S / 10)
        return dropped

    def stored_up_to(self, prefix: str) -> float | None:
        """UTC until which everything captured under this track prefix is in the store."""
        newest = self._stored_up_to.get(prefix)
        oldest = self._spool.waiting(prefix).oldest_since
        return newest if newest is None or oldest is None else min(newest, oldest - SEGMENT_S)

    def health(self) -> UploadHealth:
        waiting = self._spool.waiting()
        return UploadHealth(
            pieces=waiting.ready,
            bytes=waiting.bytes,
            oldest_waiting_s=max(0.0, self._now() - waiting.oldest_since) if waiting.oldest_since else 0.0,
            failing=self._failing,
            refused=len(self._refused),
            stored=self._stored,
            failures=self._failures,
            last_stored_at=self._last_stored_at,
        )

    async def _lane(self, pieces: Iterator[Piece]) -> int:
        stored = 0
        for piece in pieces:  # the lanes share one iterator
            if self._stop_round:
                break
            if self._refused.get(piece.key, 0.0) > self._now() or self._spool.is_discarded(piece.key):
                continue
            stored += await self._store_piece(piece)
        return stored

    async def _store_piece(self, piece: Piece) -> bool:
        self._in_flight.add(piece.key)
        try:
            await asyncio.to_thread(self._put, piece)
            if self._spool.is_discarded(piece.key):
                await asyncio.to_thread(self._take_back, piece.key)
                return False
        except FileNotFoundError:  # discarded while it waited for its thread
            return False
        except StoreError as error:
            self._failures += 1
            if error.retry:
                self._stop_round, self._failing = True, str(error) or type(error).__name__
            else:
                self._refused[piece.key] = self._now() + _ASK_AGAIN_S
            return False
        finally:
            self._in_flight.discard(piece.key)
        self._failing = None
        self._stored += 1
        self._last_stored_at = self._now()
        self._spool.drop(piece)
        self._refused.pop(piece.key, None)
        track = piece.key.rsplit("/", 2)[0] + "/"
        self._stored_up_to[track] = max(piece.since, self._stored_up_to.get(track, 0.0))
        self._on_stored(piece)
        return True

    def _put(self, piece: Piece) -> None:
        self._store.put(piece.key, piece.path.read_bytes())

    def _take_back(self, key: str) -> None:
        """Erased while it was on its way. If this fails, erasing looks again and finds it."""
        self._store.delete(list(self._store.remains(key)))
