"""The uploader: ready pieces of the spool -> the object store, as often as it takes.

A piece leaves the spool only after the store has it, and storing the same bytes again is accepted
(storage/store.py), so neither a lost answer nor a killed process loses or doubles anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from recordings.capture.segments import SEGMENT_S
from recordings.capture.spool import Piece, Spool
from recordings.storage.layout import track_of
from recordings.storage.store import ObjectStore, StoreError, StoreUnavailable

_IDLE_S = 0.2
_LONGEST_WAIT_S = 10.0
_ASK_AGAIN_S = 15.0  # an operator may have mended what the store refused
ALARM_S = 15.0
"""A closed piece that waits longer is told to people, whatever the reason; pieces are closed every five seconds."""
PUT_LIMIT_S = 60.0
"""A store that keeps a connection busy for longer without an end does not answer; the thread is left to it."""
_SPARE_THREADS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadHealth:
    """What an operator is told. oldest_waiting_s: age of the oldest piece not stored yet, the alarm;
    failing: what is wrong with storing, in the store's last words, None when all is well; refused: pieces it
    will not take;
    stored, failures: pieces stored and tries that failed since the start; last_stored_at: UTC seconds, 0 before."""

    pieces: int
    oldest_waiting_s: float
    failing: str | None
    refused: int
    stored: int = 0
    failures: int = 0
    last_stored_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Refusal:
    again_at: float
    words: str


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
        put_limit_s: float = PUT_LIMIT_S,
        refusal: Callable[[], str] = lambda: "",
    ) -> None:
        """refusal: why nothing may be stored at all just now, "" when it may."""
        self._spool, self._store, self._on_stored = spool, store, on_stored
        self._lanes, self._now, self._put_limit_s, self._refusal = lanes, now, put_limit_s, refusal
        # of its own: a store that hangs must not hold the threads that unwrap keys and wait for the disk
        self._threads = ThreadPoolExecutor(lanes + _SPARE_THREADS, "store")
        self._began_at = now()
        self._in_flight: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()  # tries in vain of pieces that wait
        self._refused: dict[str, _Refusal] = {}
        self._failing: str | None = None
        self._stop_round = False
        self._stored_up_to: dict[str, float] = {}
        self._stored = self._failures = 0
        self._last_stored_at = 0.0

    async def run(self) -> None:
        """Store pieces until cancelled; waits longer after each failed round, at most ten seconds."""
        wait_s, self._began_at = _IDLE_S, self._now()
        while True:
            await self.round()
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S) if self._failing else _IDLE_S
            await asyncio.sleep(wait_s)

    async def round(self) -> int:
        """Offer every closed piece once, stopping at a failure that waiting may mend; returns how
        many were stored."""
        self._stop_round = False
        await self._spool.settle()
        if self._refusal():  # it all waits in the spool
            return 0
        # what failed before comes last: one piece that cannot be stored holds up no other
        ready = sorted(self._spool.pieces(), key=lambda piece: self._failed[piece.key])
        if not ready:
            return 0
        pieces = iter(ready)
        return sum(await asyncio.gather(*(self._lane(pieces) for _ in range(self._lanes))))

    async def discard(self, prefix: str) -> int:
        """Erasure: drop everything under `prefix` here, and return once nothing of it is on its way
        to the store any more."""
        dropped = self._spool.discard(prefix)
        for known in (self._refused, self._failed):
            for key in [key for key in known if key.startswith(prefix)]:
                del known[key]
        while any(key.startswith(prefix) for key in self._in_flight):
            await asyncio.sleep(_IDLE_S / 10)
        return dropped

    def keep_only(self, tracks: Collection[str]) -> None:
        """Forget until when tracks are stored that nobody asks about any more; tracks: the prefixes of the others."""
        for track in [track for track in self._stored_up_to if track not in tracks]:
            del self._stored_up_to[track]

    def stored_up_to(self, prefix: str) -> float | None:
        """UTC until which everything captured under this track prefix is in the store."""
        newest = self._stored_up_to.get(prefix)
        oldest = self._spool.oldest_of_track(prefix)
        return newest if newest is None or oldest is None else min(newest, oldest - SEGMENT_S)

    def health(self) -> UploadHealth:
        oldest = min(self._spool.oldest_of_tracks().values(), default=None)
        return UploadHealth(
            pieces=self._spool.pieces_waiting,
            oldest_waiting_s=max(0.0, self._now() - oldest) if oldest else 0.0,
            failing=self._trouble(oldest),
            refused=len(self._refused),
            stored=self._stored,
            failures=self._failures,
            last_stored_at=self._last_stored_at,
        )

    def _trouble(self, oldest_since: float | None) -> str | None:
        """Leftovers of an earlier life have waited long before anybody could store them: the clock starts with us."""
        if refusal := self._refusal():
            return refusal
        if self._failing:
            return self._failing
        if self._refused:
            return next(iter(self._refused.values())).words
        late = oldest_since is not None and self._now() - max(oldest_since, self._began_at) > ALARM_S
        return "The object store takes too long." if late else None

    async def _lane(self, pieces: Iterator[Piece]) -> int:
        stored = 0
        for piece in pieces:  # the lanes share one iterator
            if self._stop_round:
                break
            refusal = self._refused.get(piece.key)
            if (refusal and refusal.again_at > self._now()) or self._spool.is_discarded(piece.key):
                continue
            stored += await self._store_piece(piece)
        return stored

    async def _store_piece(self, piece: Piece) -> bool:
        try:
            if not await self._in_time(piece):
                return False
        except FileNotFoundError:  # discarded while it waited for its thread
            return False
        except Exception as error:  # whatever an adapter lets through must not stop storing
            self._note_failure(piece, error)
            return False
        self._failing = None
        self._stored += 1
        self._last_stored_at = self._now()
        self._spool.drop(piece)
        self._refused.pop(piece.key, None)
        del self._failed[piece.key]
        track = track_of(piece.key)
        self._stored_up_to[track] = max(piece.since, self._stored_up_to.get(track, 0.0))
        self._on_stored(piece)
        return True

    def _note_failure(self, piece: Piece, error: Exception) -> None:
        self._failures += 1
        if self._spool.is_discarded(piece.key):
            return
        self._failed[piece.key] += 1
        if isinstance(error, StoreError) and error.retry:
            self._stop_round, self._failing = True, str(error)
            self._refused.pop(piece.key, None)
        else:
            words = str(error) if isinstance(error, StoreError) else type(error).__name__
            self._refused[piece.key] = _Refusal(self._now() + _ASK_AGAIN_S, words)

    async def _in_time(self, piece: Piece) -> bool:
        """Put in a thread; after the limit without it. What that thread still does counts as on its way until its
        end, and does no harm: the same bytes are accepted again."""
        self._in_flight[piece.key] += 1
        putting = asyncio.get_running_loop().run_in_executor(self._threads, self._put, piece)
        putting.add_done_callback(lambda done: self._landed(piece.key, done))
        finished, _ = await asyncio.wait({putting}, timeout=self._put_limit_s)
        if not finished:
            raise StoreUnavailable("It takes too long.")
        return await putting

    def _landed(self, key: str, done: asyncio.Future[bool]) -> None:
        self._in_flight[key] -= 1
        self._in_flight += Counter()  # forgets what is down to nothing
        if not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more

    def _put(self, piece: Piece) -> bool:
        """False when it was discarded meanwhile, and nothing of it is left in the store."""
        self._store.put(piece.key, piece.path.read_bytes())
        if not self._spool.is_discarded(piece.key):
            return True
        self._store.delete(list(self._store.remains(piece.key)))
        return False
