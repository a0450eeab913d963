"""What the media process itself writes to the database: its heartbeat, and takes that are over.

A take is finished when everything of it has left the spool; then, in one transaction, it is marked
ended and its recording moves on to finalising. What cannot be written now is tried again.
"""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from app.database import Database
from app.room.take_end import TakeEnd
from app.sessions.models import Node, Recording, RecordingState, Take, Track
from app.sessions.node_load import Load
from app.sessions.service import close_take
from recordings.capture.spool import Spool
from recordings.model import (
    AccountId,
    PersonId,
    RecordingId,
    RecordingRef,
    SessionId,
    StreamKind,
    TrackId,
    TrackKind,
    TrackRef,
)

HEARTBEAT_SECONDS = 2.0
WRITTEN_WITHIN_SECONDS = 10.0
"""A connection that died without a word is left, and the next try takes another."""
_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 1.0

log = logging.getLogger("junier.media")


class Ledger:
    """One media process's rows. `end` may be called from the event loop at any time."""

    def __init__(
        self, database: Database, spool: Spool, *, name: str, url: str, capacity: int, country: str = ""
    ) -> None:
        self._database, self._spool = database, spool
        self._name, self._url, self._capacity, self._country = name, url, capacity, country
        self._ends: list[TakeEnd] = []
        self._any_end = asyncio.Event()

    def end(self, take: TakeEnd) -> None:
        """This take is over; finish it once all of it is stored."""
        self._ends.append(take)
        self._any_end.set()

    @property
    def unfinished(self) -> int:
        return len(self._ends)

    async def register(self) -> None:
        """This process has started and can be chosen."""
        async with self._database.transaction() as db:
            fresh = {"url": self._url, "country": self._country, "capacity": self._capacity, "streams": 0}
            moments = {"started_at": func.now(), "heartbeat_at": func.now()}
            await db.execute(
                insert(Node)
                .values(name=self._name, **fresh, **moments)
                .on_conflict_do_update(index_elements=[Node.name], set_=fresh | moments)
            )

    async def beat(self, load: Load) -> None:
        """Still alive, and carrying this."""
        async with asyncio.timeout(WRITTEN_WITHIN_SECONDS), self._database.transaction() as db:
            alive = update(Node).where(Node.name == self._name)
            await db.execute(alive.values(streams=load.told, heartbeat_at=func.now()))

    async def left_open(self) -> list[TakeEnd]:
        """Takes that an earlier life of this process never finished: they were interrupted."""
        for account, recording, number in self._spool.takes():
            await self._reopen(account, recording, number)
        async with self._database.transaction() as db:
            doors = (await db.execute(text("SELECT * FROM open_takes(node_ => :node)"), {"node": self._name})).all()
        return [await self._take_end(AccountId(row.account_id), row.take_id) for row in doors]

    async def _reopen(self, account: AccountId, recording: RecordingId, number: int) -> None:
        """Given up while this process was away (forsaken.py), but here are pieces of it: it is not over yet."""
        async with self._database.transaction(account) as db:
            row = await db.get(Recording, recording, with_for_update=True)
            take = await db.scalar(select(Take).where(Take.recording_id == recording, Take.number == number))
            if row is None or row.erased_at is not None or take is None or take.ended_at is None:
                return
            take.ended_at, row.state = None, RecordingState.CAPTURING

    async def finish_loop(self) -> None:
        """Finish takes as they leave the spool, until cancelled."""
        while True:
            await self._any_end.wait()
            await self.finish_ready()
            if not self._ends:
                self._any_end.clear()
            await asyncio.sleep(_LOOK_SECONDS)

    async def finish_ready(self) -> None:
        """Finish every take of which nothing waits any more; the database away: they stay for the next time."""
        for take in [take for take in self._ends if self._is_stored(take)]:
            try:
                await self._finish(take)
            except (OperationalError, TimeoutError) as error:
                log.warning("a take cannot be finished now: %s", type(error).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)
                return
            except Exception:
                self._ends.append(take)  # behind the others, so that one surprise does not hold them up
                self._ends.remove(take)
                raise
            self._ends.remove(take)

    async def _finish(self, take: TakeEnd) -> None:
        async with asyncio.timeout(WRITTEN_WITHIN_SECONDS), self._database.transaction(AccountId(take.account)) as db:
            await close_take(
                db,
                recording=RecordingId(take.recording),
                number=take.number,
                interrupted=take.interrupted,
                resource=take.resource,
            )

    def _is_stored(self, take: TakeEnd) -> bool:
        waiting = (self._spool.waiting(prefix) for prefix in take.prefixes)
        return all(piece.being_written + piece.ready == 0 for piece in waiting)

    async def _take_end(self, account: AccountId, take: object) -> TakeEnd:
        async with self._database.transaction(account) as db:
            row = (await db.execute(select(Take).where(Take.id == take))).scalar_one()
            recording = (await db.execute(select(Recording).where(Recording.id == row.recording_id))).scalar_one()
            tracks = (await db.execute(select(Track).where(Track.recording_id == recording.id))).scalars().all()
        ref = RecordingRef(
            account=account,
            session=SessionId(recording.session_id),
            person=PersonId(recording.person_id),
            recording=RecordingId(recording.id),
            kind=StreamKind(recording.stream),
        )
        return TakeEnd(
            account=account,
            recording=recording.id,
            number=row.number,
            resource=row.resource,
            tracks=tuple(TrackRef(of=ref, track=TrackId(t.id), kind=TrackKind(t.kind)) for t in tracks),
            interrupted=True,
        )
