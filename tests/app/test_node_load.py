"""What a media process carries: a full one refuses and says so, recording before viewing, and a room has one home."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update

from app.database import Database, now_in
from app.room import peer
from app.room.node_ledger import Ledger
from app.room.node_messages import ViewAsk
from app.room.node_rooms import FullForViewers, NodeFull
from app.sessions.models import Node, Session
from app.sessions.node_load import Load, Place, emptiest
from app.sessions.service import NODE_SILENT_AFTER, NoNode, node_of
from recordings.capture.spool import Spool
from tests.app.loopback import client, offer_of, offering
from tests.app.node_scene import Scene, rooms
from tests.app.room_stage import Stage, stage


@pytest.mark.parametrize(
    ("load", "stream", "view"),
    [
        (Load(streams=0, views=0), True, True),
        (Load(streams=7, views=0), True, True),
        (Load(streams=8, views=0), True, False),  # the last fifth is for streams
        (Load(streams=5, views=6), True, True),
        (Load(streams=4, views=9), True, True),
        (Load(streams=5, views=7), True, False),
        (Load(streams=7, views=5), True, False),
        (Load(streams=8, views=3), False, False),
        (Load(streams=10, views=0), False, False),
    ],
)
def test_viewers_fill_four_fifths_and_streams_the_rest(load: Load, stream: bool, view: bool) -> None:
    assert (load.takes_stream(10), load.takes_view(10)) == (stream, view)


def test_a_new_room_goes_where_most_is_free_and_nowhere_when_all_are_full() -> None:
    def place(name: str, load: int, capacity: int = 10) -> Place:
        return Place(name=name, load=load, capacity=capacity)

    assert emptiest([place("b", 3), place("a", 4)]) == "b"
    assert emptiest([place("b", 3), place("a", 3)]) == "a", "whoever chooses chooses the same"
    assert emptiest([place("b", 3), place("a", 4, 80)]) == "a", "by share: machines differ"
    assert emptiest([place("a", 8), place("b", 7)]) == "b", "where nobody could be seen no room begins"
    assert emptiest([place("a", 8)]) is None
    assert emptiest([]) is None


async def watch(scene: Scene, resource: str, viewer: UUID | None = None) -> str:
    watcher = client()
    watcher.addTransceiver("video", direction="recvonly")
    try:
        offer = await offer_of(watcher)
        return (await scene.rooms.view(resource, ViewAsk(sdp=offer, viewer=viewer or uuid4()))).view
    finally:
        await watcher.close()


async def test_viewers_are_refused_while_there_is_still_place_for_recording(tmp_path: Path) -> None:
    async with rooms(tmp_path, capacity=4) as scene:
        first, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        ben = uuid4()
        views = [await watch(scene, ask.resource, ben) for _ in range(4)]
        await watch(scene, ask.resource)
        with pytest.raises(FullForViewers, match="recording goes first"):
            await watch(scene, ask.resource)
        views = [*views[1:], await watch(scene, ask.resource, ben)]  # in the place of his oldest
        assert scene.rooms.load == Load(streams=1, views=5)

        second, _, _, offer = await offering()
        other = scene.ask(offer, take=2)
        await scene.rooms.publish(other)
        with pytest.raises(NodeFull):
            await scene.rooms.publish(scene.ask(offer, take=3))
        await scene.rooms.publish(scene.ask(offer, like=ask, take=4))  # the same stream takes its own place
        assert scene.rooms.load == Load(streams=2, views=0), "views end with the take they show"
        await watch(scene, other.resource)
        await first.close()
        await second.close()


async def test_a_place_is_free_again_when_its_viewer_has_gone_or_was_never_connected(tmp_path: Path) -> None:
    async with rooms(tmp_path, capacity=2) as scene:
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        await scene.rooms.publish(ask)
        with pytest.raises(peer.BadOffer):
            await scene.rooms.view(ask.resource, ViewAsk(sdp="v=0", viewer=uuid4()))
        ben = uuid4()
        view = await watch(scene, ask.resource, ben)
        with pytest.raises(FullForViewers):
            await watch(scene, ask.resource)
        await scene.rooms.end_view(view, ben)
        await watch(scene, ask.resource)
        await pc.close()


async def beating(database: Database, **loads: int) -> None:
    """Media processes with room for ten, whose hearts beat now."""
    async with database.transaction() as db:
        now = await now_in(db)
        for name, load in loads.items():
            moments = {"started_at": now, "heartbeat_at": now}
            await db.merge(
                Node(name=name, url="http://127.0.0.1:1", country="DE", capacity=10, streams=load, **moments)
            )


async def test_the_heartbeat_tells_viewers_too(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database, Spool(tmp_path, 1 << 20, lambda: 0.0), name="a", url="http://127.0.0.1:1", capacity=10)
    await ledger.register()
    await ledger.beat(Load(streams=2, views=3))
    async with database.transaction() as db:
        assert (await db.get_one(Node, "a")).streams == 4  # 3.2


async def test_two_who_come_at_once_after_a_death_are_given_the_same_media_process(
    database: Database, tmp_path: Path
) -> None:
    """The second one sees other loads, and would choose otherwise by itself."""
    scene = await stage(database, tmp_path)
    await beating(database, a=0, b=0, dead=0)
    async with database.transaction(scene.account) as db:
        await db.execute(update(Session).values(node="dead"))
        await db.execute(
            update(Node).where(Node.name == "dead").values(heartbeat_at=Node.heartbeat_at - 2 * NODE_SILENT_AFTER)
        )
    async with database.transaction(scene.account) as first:
        row = await first.get_one(Session, scene.session)
        assert (await node_of(first, row)).name == "a"
        await beating(database, a=5, b=0)
        second = asyncio.create_task(home(scene))
        await waits_for_a_lock(database)
        assert not second.done()
    assert await asyncio.wait_for(second, 30) == "a"
    assert await home(scene) == "a"


async def test_a_room_whose_media_process_lives_waits_for_nobody(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    await beating(database, a=10)
    with pytest.raises(NoNode):
        await home(scene)
    await beating(database, b=0)
    assert await home(scene) == "b"
    await beating(database, a=0, b=10)
    async with database.transaction(scene.account) as db:
        await db.get_one(Session, scene.session, with_for_update=True)
        assert await asyncio.wait_for(home(scene), 30) == "b", "its home, full or not"


async def home(scene: Stage) -> str:
    async with scene.wiring.database.transaction(scene.account) as db:
        return (await node_of(db, await db.get_one(Session, scene.session))).name


async def waits_for_a_lock(database: Database) -> None:
    waiting = text("SELECT 1 FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30):
        while True:
            async with database.transaction() as db:
                if await db.scalar(waiting):
                    return
            await asyncio.sleep(0.02)
