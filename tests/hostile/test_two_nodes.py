"""Two media processes that share no folder, as on two machines: when one dies, its people rejoin on the other, in the
same recording; when it comes back it stores what it held and closes its takes as interrupted. Nobody is ever locked
out. Common are the database, the object store, the database of keys, the folder of the ledger, and two secrets."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.database import Database
from app.room.node_messages import SessionFacts
from app.room.node_rooms import NO_PUSH
from app.sessions.models import Node, Recording, Session, Take, Track
from app.sessions.service import NODE_SILENT_AFTER, recording_ref, track_ref
from app.wiring import Wiring, open_wiring
from recordings.capture.recorder import CaptureState
from recordings.model import RecordingId
from recordings.playback import open_view
from tests.app import room_stage
from tests.app.loopback import accept, client, offer_of, offering
from tests.app.room_stage import RECORDED, Stage, as_, patient, stage, web
from tests.app.test_node_apart import answering
from tests.app.test_whip import SDP, token_of
from tests.fixtures.ports import free_port
from tests.fixtures.weed import Weed
from tests.recordings.scene import play
from workers.finalise import finalise

pytestmark = pytest.mark.timeout(400)

LIMIT_SECONDS = 90


class Nodes:
    """Media processes by name, each with its own port and data folder, as docs/operators say it for another machine:
    the master key was carried there by hand."""

    def __init__(self, scene: Stage, app_url: str, folder: Path) -> None:
        self.scene, self._app_url, self._folder = scene, app_url, folder
        self.urls = {name: f"http://127.0.0.1:{free_port()}" for name in ("media-a", "media-b")}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._client = patient(scene.wiring.settings)

    async def start(self, name: str) -> None:
        settings, folder = self.scene.wiring.settings, self._folder / name
        folder.mkdir(exist_ok=True)
        shutil.copy2(settings.master_key_path, folder)
        environment = os.environ | {
            "JUNIER_DATA_DIR": str(folder),
            "JUNIER_KEYS_DIR": str(settings.keys_folder),
            "JUNIER_OBJECT_STORE": settings.object_store,
            "JUNIER_S3_ENDPOINT": settings.s3_endpoint,
            "JUNIER_S3_REGION": settings.s3_region,
            "JUNIER_S3_BUCKET": settings.s3_bucket,
            "JUNIER_S3_ACCESS_KEY": settings.s3_access_key,
            "JUNIER_S3_SECRET_KEY": settings.s3_secret_key,
            "KEYS_DATABASE_URL": settings.keys_database_url,
            "JUNIER_NODE_NAME": name,
            "JUNIER_NODE_URL": self.urls[name],
            "JUNIER_NODE_SECRET": settings.node_secret,
            "JUNIER_MEDIA_ADDRESSES": "127.0.0.1",
            "DATABASE_URL": self._app_url,
        }
        command = [sys.executable, "-m", "app", "media"]
        self._running[name] = await asyncio.create_subprocess_exec(*command, env=environment)
        await answering(self._client, self.urls[name])
        async with asyncio.timeout(LIMIT_SECONDS):
            while name not in await self.registered():
                assert self._running[name].returncode is None, f"{name} does not start"
                await asyncio.sleep(0.05)

    async def registered(self) -> set[str]:
        async with self.scene.wiring.database.transaction() as db:
            return set(await db.scalars(select(Node.name)))

    async def kill(self, name: str) -> None:
        process = self._running.pop(name)
        with suppress(ProcessLookupError):  # it had ended by itself
            process.kill()
        await process.wait()

    async def silence(self, name: str) -> None:
        """As if it had been dead for as long as it takes to be believed."""
        async with self.scene.wiring.database.transaction() as db:
            long_ago = Node.heartbeat_at - 2 * NODE_SILENT_AFTER
            await db.execute(update(Node).where(Node.name == name).values(heartbeat_at=long_ago))

    async def facts(self, name: str) -> SessionFacts:
        return await self._client.facts(self.urls[name], self.scene.session)

    async def records(self, name: str, frames: int = 45) -> None:
        """Until it has kept so many frames of every track."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                streams = (await self.facts(name)).streams
                kept = [
                    track.frames
                    for stream in streams
                    if stream.state == CaptureState.RECORDING
                    for track in stream.tracks
                ]
                if kept and min(kept) >= frames:
                    return
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for name in list(self._running):
            await self.kill(name)
        await self._client.close()


@pytest.fixture
def apart(weed: Weed, keys_url: str) -> dict[str, Any]:
    """Settings of what lies on no machine of the platform; a bucket of its own, for one database is served from it."""
    bucket = f"apart-{secrets.token_hex(8)}"
    weed.client().create_bucket(Bucket=bucket)
    return {
        "object_store": "s3",
        "s3_endpoint": weed.endpoint,
        "s3_region": weed.region,
        "s3_bucket": bucket,
        "s3_access_key": weed.access_key,
        "s3_secret_key": weed.secret,
        "keys_database_url": keys_url,
    }


@asynccontextmanager
async def two_nodes(
    database: Database, app_url: str, folder: Path, apart: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Nodes]:
    """The web is ours, in a third folder."""
    in_memory = room_stage.wiring_on

    def on_services(*given: Any, **more: Any) -> Wiring:
        settings = replace(in_memory(*given, **more).settings, **apart, keys_dir=folder / "mount")
        return open_wiring(settings, app_url)

    monkeypatch.setattr(room_stage, "wiring_on", on_services)
    (folder / "web").mkdir()
    scene = await stage(database, folder / "web")
    nodes = Nodes(scene, app_url, folder)
    try:
        yield nodes
    finally:
        await nodes.close()
        await scene.wiring.database.close()


async def test_people_of_a_dead_media_process_rejoin_on_another_in_the_same_recording(
    database: Database, app_url: str, tmp_path: Path, apart: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(two_nodes(database, app_url, tmp_path, apart, monkeypatch))
        scene = nodes.scene
        await nodes.start("media-a")
        http = await stack.enter_async_context(web(scene))
        anna = await scene.participant("Anna", *RECORDED)
        await scene.open("open_room", "start_recording")
        owner = as_(scene, await scene.cookie(member=scene.owner))
        assert (await http.post(f"/rooms/{scene.session}/admit/{anna}", headers=owner)).status_code == 204
        bearer = await token_of(http, scene, await scene.cookie(participant=anna))
        await publish(stack, http, bearer)
        await nodes.records("media-a")
        await nodes.start("media-b")

        # whoever leaves is let go by the media process they watch at, wherever the room lives by then
        watching = await view(stack, http, scene, owner)
        await moved(scene, "media-b")
        assert (await nodes.facts("media-a")).streams[0].views == 1
        assert (await http.delete(watching, headers=owner)).status_code == 200
        assert (await nodes.facts("media-a")).streams[0].views == 0
        await moved(scene, "media-a")

        pc, _, _, offer = await offering()
        stack.push_async_callback(pc.close)
        await nodes.kill("media-a")
        refused = await http.post("/whip", content=offer, headers=bearer)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0, "its heart may still be thought to beat"
        await nodes.silence("media-a")
        await publish(stack, http, bearer)
        await nodes.records("media-b")
        assert await node_of(scene) == "media-b"

        await nodes.start("media-a")
        assert (await nodes.facts("media-a")).streams == []
        await closed(scene, 1)
        first, second = await takes(scene)
        assert (first.node, first.interrupted, first.ended_at is None) == ("media-a", True, False)
        assert (second.node, second.ended_at) == ("media-b", None)
        assert first.recording_id == second.recording_id
        await nodes.records("media-b", 60)
        assert (await http.post(f"/rooms/{scene.session}/end", headers=owner)).status_code == 204
        await closed(scene, 2)
        summary, played = await finalised(scene)
    whys = [gap["why"] for gap in summary.gaps if "kind" not in gap]
    assert whys.count("interrupted") == 1
    assert set(whys) <= {"interrupted", NO_PUSH}, "a machine that stands still may lapse beside"
    assert summary.interrupted
    assert len(played["video"]) >= 90
    assert len(played["audio"]) >= 90


async def publish(stack: AsyncExitStack, http: httpx.AsyncClient, bearer: dict[str, str]) -> None:
    pc, _, _, offer = await offering()
    stack.push_async_callback(pc.close)
    made = await http.post("/whip", content=offer, headers=bearer)
    assert made.status_code == 201, made.text
    await accept(pc, made.text)


async def view(stack: AsyncExitStack, http: httpx.AsyncClient, scene: Stage, cookie: dict[str, str]) -> str:
    """Address of a view of the only recording."""
    async with scene.wiring.database.transaction(scene.account) as db:
        recording = (await db.scalars(select(Recording.id))).one()
    viewer = client()
    stack.push_async_callback(viewer.close)
    viewer.addTransceiver("video", direction="recvonly")
    made = await http.post(f"/whep/{recording}", content=await offer_of(viewer), headers=cookie | SDP)
    assert made.status_code == 201, made.text
    return made.headers["location"]


async def moved(scene: Stage, node: str) -> None:
    async with scene.wiring.database.transaction(scene.account) as db:
        await db.execute(update(Session).values(node=node))


async def node_of(scene: Stage) -> str | None:
    async with scene.wiring.database.transaction(scene.account) as db:
        return (await db.get_one(Session, scene.session)).node


async def takes(scene: Stage) -> list[Take]:
    async with scene.wiring.database.transaction(scene.account) as db:
        return list(await db.scalars(select(Take).order_by(Take.number)))


async def closed(scene: Stage, number: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (await takes(scene))[number - 1].ended_at:
            await asyncio.sleep(0.05)


async def finalised(scene: Stage) -> tuple[Recording, dict[str, list[Any]]]:
    """The one recording, and its packets as a player gets them."""
    async with scene.wiring.database.transaction(scene.account) as db:
        recording = RecordingId((await db.scalars(select(Recording.id))).one())
    await finalise(scene.wiring, scene.account, recording)
    async with scene.wiring.database.transaction(scene.account) as db:
        row = (await db.scalars(select(Recording))).one()
        ref = recording_ref(row)
        tracks = [track_ref(ref, track) for track in await db.scalars(select(Track))]
    assert row.index_key is not None
    view = open_view(scene.wiring.store, scene.wiring.keys, ref, row.index_key, row.index_generation, tracks)
    return row, play(b"".join(view.read()))
