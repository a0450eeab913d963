"""The media process as a process of its own: killed, or asked to stop, it loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.database import Database
from app.room.node_client import NodeClient, NodeRefused, NodeUnreachable
from app.room.node_messages import StreamAsk, TrackAsk, ViewAsk
from app.sessions.models import Recording, Take
from app.sessions.service import open_take
from app.wiring import open_wiring
from recordings.model import PersonId, StreamKind
from recordings.storage.layout import recording_prefix, track_prefix
from tests.app.loopback import BOTH, accept, offering
from tests.app.room_stage import Stage, allow, media, stage


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine another process answers later."""
    monkeypatch.setattr("app.room.node_client.TIMEOUT_SECONDS", 60.0)


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

        async with asyncio.timeout(60):
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
            async with asyncio.timeout(60):
                while not (await take_of(apart.scene)).ended_at:
                    await asyncio.sleep(0.1)
            with pytest.raises(NodeRefused):
                await apart.client.view(url, apart.ask.resource, ViewAsk(sdp="v=0", viewer=uuid4()))
        assert (await take_of(apart.scene)).interrupted
        await all_is_stored(apart)


async def test_asked_to_stop_it_stores_everything_first(database: Database, app_url: str, tmp_path: Path) -> None:
    async with recording_apart(database, app_url, tmp_path) as apart:
        apart.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
        while True:
            try:
                await client.facts(url, UUID(int=0))
                return
            except NodeUnreachable:
                await asyncio.sleep(0.1)
