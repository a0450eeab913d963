"""A recorded room in which every frame can be told apart: the real pages, rows, permission, rooms, recorder, spool and
store. Only the network is a double (wires.py), and media goes by the test's own clock.

Each frame carries a mark of its own; `kept` says which marks lie in the store, by opening every sealed chunk.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import select

from app.database import Database
from app.main import create_app
from app.privacy.erasing.service import run_erasure
from app.privacy.records.models import Erasure
from app.room import peer
from app.room.addresses import MediaAddresses
from app.room.node_rooms import Rooms
from app.room.permission import push_session
from app.room.take_end import TakeEnd
from app.sessions.models import Node, Recording, Track
from app.sessions.service import close_take, recording_ref, track_ref
from app.studies.models import ConsentKind
from app.studies.service import new_consent_text
from recordings.capture.chunks import read_chunk
from recordings.capture.recorder import StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.encryption.keystore import KeyStore
from recordings.encryption.sealed import chunk_context, frame_messages, unseal
from recordings.model import Frame, PersonId, RecordingId, TrackKind, TrackRef
from recordings.storage.layout import segments_prefix, take_and_segment, track_key_path
from recordings.storage.store import ObjectStore
from tests.app.room_stage import Stage, as_, stage
from tests.trust.oracle import Oracle, Sent, Wills
from tests.trust.wires import Line, Wire

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
BOTH = frozenset({CAMERA, VOICE})
TRACK_OF = {ConsentKind.VIDEO: CAMERA, ConsentKind.AUDIO: VOICE}
STEP_S = {CAMERA: 0.1, VOICE: 0.02}
ON_ITS_WAY_S = 0.5
"""Media that passes at most while a click is answered; what it needs beyond that is the test's own slowness."""
HELD = 45
"""So many frames wait for a lost packet: longer than a click is on its way, so that some were sent before it."""
PUSH_EVERY_S = 0.5
"""Whatever was lost on the way is pushed again after so long: a second in all."""
_MARK = re.compile(rb"<[0-9a-f]{12}>")
_OFFERED = {CAMERA: "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", VOICE: "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"}


@dataclass
class Media:
    """The media process: real rooms, spool and uploader. now: its clock, server UTC in seconds."""

    store: ObjectStore
    keys: KeyStore
    folder: Path
    now: float = field(default_factory=time.time)
    lines: dict[PersonId, Line] = field(default_factory=dict)
    ended: list[TakeEnd] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spool = Spool(self.folder, 1 << 30, self.clock)
        self.uploader = Uploader(self.spool, self.store, now=self.clock)
        self.rooms = Rooms(
            keys=self.keys,
            spool=self.spool,
            uploader=self.uploader,
            addresses=MediaAddresses(),
            capacity=50,
            on_take_end=self.ended.append,
            clock=self.clock,
            now=self.clock,
        )

    def clock(self) -> float:
        return self.now

    async def publish(self, _: str, *, kinds: frozenset[TrackKind], sink: StreamRecorder, **rest: object) -> Line:
        """In the place of app.room.peer.publish."""
        line = self.lines[sink.recording.person] = Line(kinds, sink)
        return line

    async def drain(self) -> None:
        while self.spool.waiting().ready:
            before = self.spool.waiting()
            await self.uploader.round()
            assert self.spool.waiting() != before, "the store takes nothing"


class Arena:
    """One session, with web and media."""

    def __init__(self, on: Stage, http: httpx.AsyncClient, media: Media, wire: Wire) -> None:
        self.stage, self.http, self.media, self.wire = on, http, media, wire
        self.oracle = Oracle()
        self.chance = random.Random(0)
        self.coded: Callable[[Sent], bytes] = attrgetter("mark")  # what stands in a frame
        self.seconds = 0.0
        self._cookies: dict[PersonId, dict[str, str]] = {}
        self._held: dict[PersonId, int] = {}
        self._began_at = self._push_at = media.now
        self._next = dict.fromkeys(STEP_S, media.now)

    async def guest(self, name: str, *kinds: ConsentKind, admitted: bool = False) -> PersonId:
        """Invited and registered, with these consents given on the consent page."""
        person = await self.stage.participant(name)
        self._cookies[person] = as_(self.stage, await self.stage.cookie(participant=person))
        self.oracle.settling = [wills.changed(person) for wills in self.oracle.settling]
        for kind in kinds:
            await self.agree(person, kind)
        if admitted:
            await self.admit(person)
        return person

    async def lead(self, step: str) -> None:
        """open, start, pause, resume or end, by the researcher."""
        await self._click(self._lead(step), replace(self.oracle.now, recording=step in ("start", "resume")))

    async def admit(self, person: PersonId) -> None:
        await self._click(self._lead(f"admit/{person}"), self.oracle.now.changed(person, admitted=True))

    async def agree(self, person: PersonId, kind: ConsentKind) -> None:
        consents = self.oracle.now.of[person].consents | {TRACK_OF[kind]}
        await self._click(self._switch(person, kind, "yes"), self.oracle.now.changed(person, consents=consents))

    async def withdraw(self, person: PersonId, kind: ConsentKind) -> None:
        will, track = self.oracle.now.of[person], TRACK_OF[kind]
        after = self.oracle.now.changed(person, consents=will.consents - {track}, lines=will.lines - {track})
        await self._click(self._switch(person, kind, "no"), after)
        self.oracle.withdraw(person, track)

    async def pause_mine(self, person: PersonId, *, paused: bool) -> None:
        step = f"/rooms/{self.stage.session}/{'pause' if paused else 'resume'}-mine"
        await self._click(self._post(person, step), self.oracle.now.changed(person, paused=paused))

    async def connect(self, person: PersonId, offered: frozenset[TrackKind] | None = None) -> int:
        """Publish, or publish again; a browser offers what was agreed to. Returns the status."""
        will = self.oracle.now.of[person]
        offered = will.consents if offered is None else offered
        welcome = will.admitted and bool(offered) and offered <= will.consents
        if welcome:  # while one connection takes the other's place, frames may be lost
            self.oracle.settling.append(self.oracle.now.changed(person, lines=frozenset()))
        after = self.oracle.now.changed(person, lines=offered) if welcome else self.oracle.now
        answer = await self._click(self._offer(person, offered), after)
        assert (answer.status_code == 201) is welcome, answer.text
        return answer.status_code

    def lose(self, person: PersonId) -> None:
        """The connection breaks."""
        if line := self.media.lines.pop(person, None):
            line.end(peer.Ended.LOST)
        self.oracle.settling = [wills.changed(person, lines=frozenset()) for wills in self.oracle.settling]

    async def new_text(self, words: str) -> None:
        """The study asks for something else: nobody has agreed to that. Pushed with the next round."""
        async with self.stage.wiring.database.transaction(self.stage.account) as db:
            await new_consent_text(db, study=self.stage.study, text=words)
        for person in self.oracle.now.of:
            self.oracle.settling.append(self.oracle.now.changed(person, consents=frozenset()))

    def say_again(self) -> None:
        """A permission from before arrives once more."""
        if self.wire.pushed:
            self.media.rooms.permit(*self.chance.choice(self.wire.pushed))

    async def go_on(self, seconds: float) -> None:
        """Media flows, and permission is pushed as a web process does."""
        until = self.media.now + seconds
        while self.media.now < until:
            self._send(min(0.1, until - self.media.now))
            await self._push_if_time()

    async def erase(self) -> None:
        """What the light worker does with erasures that were asked for."""
        wiring, account = self.stage.wiring, self.stage.account
        async with wiring.database.transaction(account) as db:
            asked = list(await db.scalars(select(Erasure.id).where(Erasure.finished_at.is_(None))))
        for erasure in asked:
            await run_erasure(wiring, account, erasure, nodes=self.wire)

    async def finish(self) -> None:
        """The session ends, and all that was captured is stored."""
        await self.lead("end")
        await self.go_on(0.5)
        await self.media.rooms.close()
        await self.media.drain()
        wiring, account = self.stage.wiring, self.stage.account
        for take in self.media.ended:
            async with wiring.database.transaction(account) as db:
                await close_take(db, recording=RecordingId(take.recording), number=take.number, interrupted=False)

    async def tracks(self) -> list[TrackRef]:
        """Of everybody, whatever became of them."""
        async with self.stage.wiring.database.transaction(self.stage.account) as db:
            rows = (await db.execute(select(Recording, Track).join(Track, Track.recording_id == Recording.id))).all()
        return [track_ref(recording_ref(recording), row) for recording, row in rows]

    async def kept(self) -> set[bytes]:
        """Every mark in the store."""
        return {mark for track in await self.tracks() for mark in _MARK.findall(self.plaintext(track))}

    def plaintext(self, track: TrackRef) -> bytes:
        """All chunks of a track in the store, opened, in order."""
        store, keys = self.stage.wiring.store, self.stage.wiring.keys
        opened, counted = [], dict[int, int]()
        for thing in store.list(segments_prefix(track)):
            take, _ = take_and_segment(thing.key)
            for _, message in frame_messages(store.get(thing.key)):
                number = counted.get(take, 0)
                counted[take] = number + 1
                context = chunk_context(track, take, number)
                opened.append(read_chunk(unseal(keys.unwrap(track_key_path(track)), message, context)).blocks)
        return b"".join(opened)

    async def _click(self, doing: Coroutine[Any, Any, httpx.Response], after: Wills) -> httpx.Response:
        """Media goes on while a request is on its way; whatever comes after the answer is as was clicked, unless the
        media process could not be told: then the next push tells it."""
        self.oracle.settling.append(after)
        task, until = asyncio.ensure_future(doing), self.media.now + ON_ITS_WAY_S
        while not task.done():
            if self.media.now < until:
                self._send(0.02)
            await asyncio.sleep(0.001)
        answer = task.result()
        assert answer.status_code < 500, answer.text
        if answer.is_success and not self.wire.cut:  # what was refused is not pushed
            self.oracle.settle()
        return answer

    def _send(self, seconds: float) -> None:
        """Every connection sends both kinds, whatever was negotiated."""
        until, self.seconds = self.media.now + seconds, self.seconds + seconds
        while (at := min(self._next.values())) <= until:
            kind = min(self._next, key=lambda one: self._next[one])
            self.media.now, self._next[kind] = max(self.media.now, at), at + STEP_S[kind]
            for person, line in self.media.lines.items():
                self._frame(person, line, kind)
        self.media.now = until
        self.media.rooms.tick()

    def _frame(self, person: PersonId, line: Line, kind: TrackKind) -> None:
        if self.chance.random() < 0.01:
            self._held[person] = HELD
        held = self._held[person] = max(0, self._held.get(person, 0) - 1)
        mark, late = b"<%012x>" % len(self.oracle.sent), held > 0
        covered = self.oracle.cover(person, kind)
        sent = Sent(mark=mark, person=person, kind=kind, late=late, covered=covered)
        self.oracle.sent.append(sent)
        ticks = round((self.media.now - self._began_at) * kind.clock_rate)
        frame = Frame(kind=kind, ticks=ticks, data=self.coded(sent), key=True, arrived_at=self.media.now)
        line.arrive(frame, late=late)

    async def _push_if_time(self) -> None:
        if self.media.now < self._push_at:
            return
        self._push_at = self.media.now + PUSH_EVERY_S
        stage = self.stage
        if await push_session(stage.wiring, self.wire, account=stage.account, session=stage.session):
            self.oracle.settle()

    def _lead(self, step: str) -> Coroutine[Any, Any, httpx.Response]:
        return self._post(self.stage.owner, f"/rooms/{self.stage.session}/{step}")

    def _switch(self, person: PersonId, kind: ConsentKind, given: str) -> Coroutine[Any, Any, httpx.Response]:
        values = {"kind": kind.value, "given": given}
        return self._post(person, f"/take-part/{self.stage.session}/consent", values)

    async def _offer(self, person: PersonId, offered: frozenset[TrackKind]) -> httpx.Response:
        sdp = "v=0\r\n" + "".join(_OFFERED[kind] for kind in sorted(offered))
        headers = self._cookies[person] | {"content-type": "application/sdp", "accept": "*/*"}
        path = f"/whip?session={self.stage.session}&stream=camera"
        return await self.http.post(path, content=sdp, headers=headers)

    async def _post(self, person: PersonId, path: str, values: dict[str, str] | None = None) -> httpx.Response:
        if person not in self._cookies:
            self._cookies[person] = as_(self.stage, await self.stage.cookie(member=person))
        answer = await self.http.post(path, data=values or {}, headers=self._cookies[person] | {"accept": "*/*"})
        assert answer.is_success, f"{path}: {answer.text}"
        return answer


@asynccontextmanager
async def arena(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Arena]:
    """A scheduled session with web and media, nobody in it yet."""
    on = await stage(database, folder, group=True)
    media = Media(on.wiring.store, on.wiring.keys, folder / "spool-of-rooms")
    wire = Wire(media.rooms)
    monkeypatch.setattr(peer, "publish", media.publish)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with database.transaction() as db:
        if await db.get(Node, "rooms") is None:
            db.add(Node(name="rooms", url="http://127.0.0.1:1", capacity=50, started_at=later, heartbeat_at=later))
    app = create_app(on.wiring, background=[], node_client=wire)
    origin = on.wiring.settings.origin
    transport = httpx.ASGITransport(app=cast(Any, app))
    async with httpx.AsyncClient(transport=transport, base_url=origin, headers={"origin": origin}) as http:
        yield Arena(on, http, media, wire)
        await media.rooms.close()
