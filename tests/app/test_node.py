"""The media process: permission is a lease, one stream is recorded once, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import select

from app.database import Database
from app.room import peer
from app.room.node_api import MAX_BODY_BYTES, NodeApi
from app.room.node_client import NodeClient, NodeRefused, NodeUnreachable
from app.room.node_messages import Health, Permission, StreamAsk, StreamFacts, TrackAsk, ViewAsk
from app.room.node_rooms import FORSAKEN_SECONDS, NodeFull, Rooms, StreamGone, TakeEnd
from app.sessions.models import Recording, Take
from app.sessions.service import open_take
from app.wiring import open_wiring
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.encryption.keystore import KeyPath
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import AccountId, PersonId, StreamKind, TrackKind
from recordings.storage.layout import recording_prefix, track_key_path, track_prefix
from recordings.storage.memory import MemoryStore
from tests.app.loopback import BOTH, HERE, accept, client, offer_of, offering, until
from tests.app.room_stage import Stage, media, stage


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


def allow(
    ask: StreamAsk,
    *kinds: TrackKind,
    as_of: float = 1.0,
    live: bool = True,
    streams: dict[UUID, dict[TrackKind, UUID]] | None = None,
    take: int | None = None,
    inside: Sequence[UUID] | None = None,
) -> Permission:
    tracks = {track.kind: track.track for track in ask.tracks if track.kind in (kinds or BOTH)}
    return Permission(
        as_of=as_of,
        live=live,
        streams={ask.recording: tracks} if streams is None else streams,
        takes={ask.recording: take or ask.take},
        inside=[ask.person] if inside is None else list(inside),
        why="test",
    )


@asynccontextmanager
async def rooms(folder: Path, capacity: int = 5) -> AsyncIterator[Scene]:
    keys, store, spool = MemoryKeyStore(), MemoryStore(), Spool(folder / "spool", 1 << 26, time.time)
    uploader = Uploader(spool, store)
    ended: list[TakeEnd] = []
    made = Rooms(
        keys=keys,
        spool=spool,
        uploader=uploader,
        offer_addresses=HERE,
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


async def test_capture_lasts_as_long_as_permission_keeps_arriving(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        made = await scene.rooms.publish(ask)
        await accept(pc, made.sdp)
        await until(lambda: scene.stream(ask).connected, "the connection")
        assert scene.permitted(ask) == set()  # nothing before the first push

        scene.rooms.permit(ask.session, allow(ask))
        await until(lambda: scene.kept(ask, TrackKind.CAMERA) and scene.kept(ask, TrackKind.VOICE), "frames of both")
        scene.rooms.permit(ask.session, allow(ask, TrackKind.CAMERA, as_of=3.0))
        assert scene.permitted(ask) == {TrackKind.CAMERA}  # at once, not at the next chunk
        scene.rooms.permit(ask.session, allow(ask, as_of=2.0))
        assert scene.permitted(ask) == {TrackKind.CAMERA}  # an older reading changes nothing
        voice = scene.kept(ask, TrackKind.VOICE)

        scene.clock += 1.9
        scene.rooms.tick()
        assert scene.permitted(ask) == {TrackKind.CAMERA}
        scene.clock += 0.2
        scene.rooms.tick()
        assert scene.permitted(ask) == set()
        assert not scene.rooms.facts(ask.session).leased
        scene.rooms.permit(ask.session, allow(ask, as_of=4.0))
        assert scene.permitted(ask) == BOTH
        await until(lambda: scene.kept(ask, TrackKind.VOICE) > voice, "voice again")
        await pc.close()


async def test_a_track_that_is_not_named_is_not_written(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        other = {TrackKind.VOICE: uuid4(), TrackKind.CAMERA: ask.track_refs[TrackKind.CAMERA].track}
        scene.rooms.permit(ask.session, allow(ask, streams={ask.recording: dict(other)}))
        assert scene.permitted(ask) == {TrackKind.CAMERA}
        scene.rooms.permit(ask.session, allow(ask, streams={uuid4(): dict(other)}))
        assert scene.permitted(ask) == set()
        await pc.close()


async def test_publishing_again_ends_the_first_and_records_once(tmp_path: Path) -> None:
    async with rooms(tmp_path, capacity=1) as scene:
        first_pc, _, _, offer = await offering()
        first = scene.ask(offer)
        scene.rooms.permit(first.session, allow(first))
        await accept(first_pc, (await scene.rooms.publish(first)).sdp)
        await until(lambda: scene.kept(first, TrackKind.CAMERA), "frames of the first")

        broken = scene.ask("v=0", like=first, take=2)
        with pytest.raises(peer.BadOffer):
            await scene.rooms.publish(broken)
        assert scene.stream(first).connected  # a bad offer ends nothing

        second_pc, _, _, offer = await offering()
        second = scene.ask(offer, like=first, take=2)
        await accept(second_pc, (await scene.rooms.publish(second)).sdp)
        assert [(take.number, take.interrupted) for take in scene.ended] == [(1, False)]
        assert [stream.take for stream in scene.rooms.facts(first.session).streams] == [2]
        assert scene.permitted(second) == set(), "a take that is not committed is not captured"
        scene.rooms.permit(second.session, allow(second, as_of=2.0))
        await until(lambda: scene.kept(second, TrackKind.CAMERA), "frames of the second")
        with pytest.raises(NodeFull):
            await scene.rooms.publish(scene.ask(offer))
        await first_pc.close()
        await second_pc.close()


async def test_a_session_that_is_over_or_forsaken_ends_its_streams(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        for is_live in (False, True):
            pc, _, _, offer = await offering()
            ask = scene.ask(offer)
            await scene.rooms.publish(ask)
            scene.rooms.permit(ask.session, allow(ask, live=is_live))
            scene.clock += FORSAKEN_SECONDS + 1
            await until(lambda: scene.ended, "the end")
            scene.ended.clear()
            assert scene.rooms.facts(ask.session).streams == []
            await pc.close()


async def test_whoever_may_not_be_in_the_room_any_more_neither_sends_nor_receives(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask, member, removed = scene.ask(offer), uuid4(), uuid4()
        everybody = [ask.person, member, removed]
        scene.rooms.permit(ask.session, allow(ask, inside=everybody))
        await accept(pc, (await scene.rooms.publish(ask)).sdp)
        await until(lambda: scene.stream(ask).connected, "the connection")
        for viewer in (member, removed):
            watcher = client()
            watcher.addTransceiver("video", direction="recvonly")
            await scene.rooms.view(ask.resource, ViewAsk(sdp=await offer_of(watcher), viewer=viewer))
            await watcher.close()
        assert scene.stream(ask).views == 2

        scene.rooms.permit(ask.session, allow(ask, as_of=2.0, inside=[ask.person, member]))
        await until(lambda: scene.stream(ask).views == 1, "the end of the removed member's view")
        scene.rooms.permit(ask.session, allow(ask, as_of=1.5, inside=everybody))
        assert scene.stream(ask).views == 1
        scene.rooms.permit(ask.session, allow(ask, as_of=3.0, inside=[member]))
        await until(lambda: scene.ended, "the end of the stream of the one who was shown out")
        assert scene.rooms.facts(ask.session).streams == []
        await pc.close()


async def test_what_was_said_before_permission_came_is_let_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets wait up to a second behind a lost one; those of a pause must not come out after it."""
    released: list[set[TrackKind]] = []
    monkeypatch.setattr(peer.Publication, "release", lambda self: released.append(scene.permitted(ask)))
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        scene.rooms.permit(ask.session, allow(ask, TrackKind.CAMERA))
        scene.rooms.permit(ask.session, allow(ask, TrackKind.CAMERA, as_of=2.0))
        scene.rooms.permit(ask.session, allow(ask, as_of=3.0))
        scene.rooms.permit(ask.session, allow(ask, TrackKind.VOICE, as_of=4.0))
        assert released == [set(), {TrackKind.CAMERA}], "before each widening, and only then"
        await pc.close()


async def test_erasing_while_recording_leaves_nothing_and_lets_nothing_in(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        scene.rooms.permit(ask.session, allow(ask))
        await accept(pc, (await scene.rooms.publish(ask)).sdp)
        await until(lambda: all(scene.kept(ask, kind) for kind in BOTH), "frames of both")
        voice = track_prefix(ask.track_refs[TrackKind.VOICE])
        done = await scene.rooms.erase(voice)
        assert done.streams == 0
        assert {track.kind for track in scene.stream(ask).tracks} == {TrackKind.CAMERA}
        seen = scene.kept(ask, TrackKind.CAMERA)
        await until(lambda: scene.kept(ask, TrackKind.CAMERA) > seen + 10, "the camera going on")
        assert scene.spool.waiting(voice).bytes == 0

        done = await scene.rooms.erase(recording_prefix(ask.recording_ref))
        assert done.streams == 1
        assert scene.spool.waiting(recording_prefix(ask.recording_ref)).bytes == 0
        assert len(scene.ended) == 1
        await scene.uploader.round()
        assert list(scene.store.list("")) == []
        assert (await scene.rooms.erase(recording_prefix(ask.recording_ref))).streams == 0
        await pc.close()


async def test_the_internal_address_answers_the_web_process_only(tmp_path: Path) -> None:
    async with rooms(tmp_path) as scene:
        api = NodeApi(
            scene.rooms, "shared", lambda: Health(name="m", streams=0, capacity=5, spool_bytes=0, waiting_s=0)
        )
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://media") as http:
            for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "shared"}):
                assert (await http.get("/health", headers=headers)).status_code == 401
            http.headers["authorization"] = "Bearer shared"
            assert (await http.get("/health")).json()["name"] == "m"
            assert (await http.get("/elsewhere")).status_code == 404
            assert (await http.post("/streams", content="{}")).status_code == 400
            assert (await http.post("/streams", content="x" * (MAX_BODY_BYTES + 1))).status_code == 422
            assert (await http.post("/erase", json={"prefix": ""})).status_code == 422
            assert (await http.post("/erase", json={"prefix": "a/"})).status_code == 422
            assert (await http.delete(f"/streams/{'x' * 43}")).status_code == 204
            view = await http.post(f"/streams/{'x' * 43}/views", json={"sdp": "v=0", "viewer": str(uuid4())})
            assert (view.status_code, view.json()["reason"]) == (404, StreamGone().message)
            assert (await http.put("/sessions/no-id/permission", json={})).status_code == 404
            ask = scene.ask("no offer")
            refused = await http.post("/streams", content=msgspec.json.encode(ask))
            assert refused.status_code == 400
            scene.keys.destroy(KeyPath(AccountId(ask.account), PersonId(ask.person)))
            gone = await http.post("/streams", content=msgspec.json.encode(ask))
            assert (gone.status_code, gone.json()["reason"]) == (404, "This has been erased.")
        assert scene.rooms.count == 0


async def published(scene: Stage, person: PersonId, offer: str, url: str, name: str) -> tuple[StreamAsk, str]:
    """Rows, keys and the media process's answer, as whip.py does it."""
    resource = uuid4().hex + "0" * 11
    async with scene.wiring.database.transaction(scene.account) as db:
        take = await open_take(
            db,
            scene.wiring.keys,
            account=scene.account,
            session=scene.session,
            person=person,
            person_is_member=False,
            stream=StreamKind.CAMERA,
            kinds=BOTH,
            node=name,
            resource=resource,
        )
    ask = StreamAsk(
        account=scene.account,
        session=scene.session,
        person=person,
        recording=take.recording.recording,
        stream=StreamKind.CAMERA,
        take=take.number,
        resource=resource,
        tracks=[TrackAsk(kind=kind, track=track.track) for kind, track in take.tracks.items()],
        kinds=sorted(BOTH),
        sdp=offer,
    )
    client = NodeClient(scene.wiring.settings)
    answer = (await client.publish(url, ask)).sdp
    await client.close()
    return ask, answer


@dataclass
class Apart:
    """A media process of its own, recording one stream."""

    scene: Stage
    process: asyncio.subprocess.Process
    client: NodeClient
    ask: StreamAsk


@asynccontextmanager
async def recording_apart(database: Database, app_url: str, folder: Path) -> AsyncIterator[Apart]:
    """Keys and objects lie on disk, for two processes. Yields once two seconds of both tracks are kept."""
    scene = await stage(database, folder)
    settings = scene.wiring.settings
    kept = open_wiring(settings, app_url)
    scene = Stage(wiring=kept, account=scene.account, owner=scene.owner, study=scene.study, session=scene.session)
    kept.columns.make_account_keys(scene.account)
    person = PersonId(uuid4())
    kept.columns.make_person_key(scene.account, person)
    environment = os.environ | {
        "JUNIER_DATA_DIR": str(settings.data_dir),
        "JUNIER_NODE_URL": settings.node_url,
        "JUNIER_NODE_SECRET": settings.node_secret,
        "JUNIER_MEDIA_ADDRESSES": "127.0.0.1",
        "DATABASE_URL": app_url,
    }
    code = (
        "import asyncio; from app.room.node import run; from app.settings import Settings;"
        "from app.wiring import open_wiring; asyncio.run(run(open_wiring(Settings.from_env())))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=environment)
    client = NodeClient(settings)
    pc, _, _, offer = await offering()
    try:
        await answering(client, settings.node_url)
        ask, answer = await published(scene, person, offer, settings.node_url, settings.node_name)
        await accept(pc, answer)

        async def frames() -> int:
            await client.permit(settings.node_url, ask.session, allow(ask, as_of=time.time()))
            facts = await client.facts(settings.node_url, ask.session)
            return min(track.frames for track in facts.streams[0].tracks)

        async with asyncio.timeout(20):
            while await frames() < 60:
                await asyncio.sleep(0.1)
        yield Apart(scene=scene, process=process, client=client, ask=ask)
    finally:
        await pc.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await client.close()
        await kept.database.close()


async def all_is_stored(apart: Apart) -> None:
    """Segments and journal of both tracks are in the store, and the recording moved on."""
    scene, ask = apart.scene, apart.ask
    stored = [thing.key for thing in scene.wiring.store.list(recording_prefix(ask.recording_ref))]
    for track in ask.track_refs.values():
        assert any(key.startswith(f"{track_prefix(track)}s/") for key in stored)
        assert any(key.startswith(f"{track_prefix(track)}j/") for key in stored)
    async with scene.wiring.database.transaction(scene.account) as db:
        assert (await db.scalars(select(Recording.state))).one() == "captured"


async def test_after_kill_9_what_was_sealed_is_stored_and_the_take_is_closed_as_interrupted(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    async with recording_apart(database, app_url, tmp_path) as apart:
        url = apart.scene.wiring.settings.node_url
        apart.process.send_signal(signal.SIGKILL)
        await apart.process.wait()
        with pytest.raises(NodeUnreachable):
            await apart.client.facts(url, apart.ask.session)
        async with media(apart.scene.wiring):
            async with asyncio.timeout(20):
                while not (await take_of(apart.scene)).ended_at:
                    await asyncio.sleep(0.1)
            with pytest.raises(NodeRefused):
                await apart.client.view(url, apart.ask.resource, ViewAsk(sdp="v=0", viewer=uuid4()))
        assert (await take_of(apart.scene)).interrupted
        await all_is_stored(apart)


async def test_asked_to_stop_it_stores_everything_first(database: Database, app_url: str, tmp_path: Path) -> None:
    async with recording_apart(database, app_url, tmp_path) as apart:
        apart.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await apart.process.wait() == 0
        take = await take_of(apart.scene)
        assert take.ended_at is not None
        assert not take.interrupted
        await all_is_stored(apart)


async def take_of(scene: Stage) -> Take:
    async with scene.wiring.database.transaction(scene.account) as db:
        return (await db.scalars(select(Take))).one()


async def answering(client: NodeClient, url: str) -> None:
    """The process is up."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.facts(url, UUID(int=0))
                return
            except NodeUnreachable:
                await asyncio.sleep(0.1)
