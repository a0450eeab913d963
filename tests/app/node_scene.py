"""Rooms of a media process on real spool, store and peers, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import msgspec

from app.room.addresses import MediaAddresses
from app.room.node_messages import StreamAsk, StreamFacts, TrackAsk
from app.room.node_rooms import Rooms
from app.room.take_end import TakeEnd
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.encryption.keystore import KeyPath
from recordings.encryption.memory import MemoryKeyStore
from recordings.finalise import finalise
from recordings.index import Index, read_index
from recordings.model import AccountId, PersonId, StreamKind, TrackKind
from recordings.playback import open_view
from recordings.storage.layout import track_key_path
from recordings.storage.memory import MemoryStore
from tests.app.loopback import BOTH, HERE


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A recording that is over: its index, and the file as it is served."""

    index: Index
    file: bytes


@dataclass
class Scene:
    """Rooms on real spool, store and peers, with a clock that the test turns."""

    rooms: Rooms
    spool: Spool
    uploader: Uploader
    keys: MemoryKeyStore
    store: MemoryStore
    ended: list[TakeEnd] = field(default_factory=list)
    clock: float = 100.0

    def ask(self, offer: str, like: StreamAsk | None = None, take: int = 1) -> StreamAsk:
        """A publication with fresh ids and keys, or the next take of the same recording."""
        if like is None:
            account, person = AccountId(uuid4()), PersonId(uuid4())
            like = StreamAsk(
                account=account,
                session=uuid4(),
                person=person,
                recording=uuid4(),
                stream=StreamKind.CAMERA,
                take=take,
                resource="r" * 43,
                tracks=[TrackAsk(kind=kind, track=uuid4()) for kind in sorted(BOTH)],
                kinds=sorted(BOTH),
                sdp=offer,
            )
            for path in (KeyPath(account), KeyPath(account, person), *map(track_key_path, like.track_refs.values())):
                self.keys.create(path)
        return msgspec.structs.replace(like, take=take, resource=f"{'r' * 40}{take:03}", sdp=offer)

    def stream(self, ask: StreamAsk) -> StreamFacts:
        return next(stream for stream in self.rooms.facts(ask.session).streams if stream.take == ask.take)

    def kept(self, ask: StreamAsk, kind: TrackKind) -> int:
        return next(track.frames for track in self.stream(ask).tracks if track.kind is kind)

    def permitted(self, ask: StreamAsk) -> set[TrackKind]:
        return {track.kind for track in self.stream(ask).tracks if track.permitted}

    async def finished(self, ask: StreamAsk) -> Finished:
        """Of a stream that has ended: all of it stored, finalised and read back."""
        while (before := self.spool.waiting()).ready:
            await self.uploader.round()
            assert self.spool.waiting() != before, "the store takes nothing"
        return await asyncio.to_thread(self._read_back, ask)

    def _read_back(self, ask: StreamAsk) -> Finished:
        ref = ask.recording_ref
        summary = finalise(self.store, self.keys, ref, list(ask.track_refs.values()), 1)
        index = read_index(self.store, self.keys, ref, summary.object_key, summary.generation)
        view = open_view(self.store, self.keys, ref, summary.object_key, summary.generation)
        return Finished(index=index, file=b"".join(view.read()))


@asynccontextmanager
async def rooms(
    folder: Path, capacity: int = 5, addresses: MediaAddresses = MediaAddresses(chosen=HERE)
) -> AsyncIterator[Scene]:
    keys, store, spool = MemoryKeyStore(), MemoryStore(), Spool(folder / "spool", 1 << 26, time.time)
    uploader = Uploader(spool, store)
    ended: list[TakeEnd] = []
    made = Rooms(
        keys=keys,
        spool=spool,
        uploader=uploader,
        addresses=addresses,
        capacity=capacity,
        on_take_end=ended.append,
        clock=lambda: scene.clock,
        now=time.time,
    )
    scene = Scene(rooms=made, spool=spool, uploader=uploader, keys=keys, store=store, ended=ended)

    async def ticking() -> None:
        while True:
            made.tick()
            await asyncio.sleep(0.05)

    ticks = asyncio.create_task(ticking())
    try:
        yield scene
    finally:
        ticks.cancel()
        await made.close()
