"""What each person is told of the room, and who may follow it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.accounts.assignments import assign, unassign
from app.accounts.models import Role
from app.database import Database
from app.limited_routes import RULES, TOO_MANY, By, at_most
from app.room.health import Why, Word
from app.room.node_client import NodeClient
from app.room.node_messages import HealthFacts, SessionFacts, StreamFacts, TrackFacts
from app.room.room import Person, RoomFacts
from app.room.snapshot import RoomTold, told
from app.room.watch import Watch
from app.sessions.models import SessionState
from app.sessions.policy import Switch
from app.studies.models import Study
from recordings.model import StreamKind, TrackKind
from tests.app.room_stage import RECORDED, Stage, as_, serving, stage
from tests.app.test_permission import guest, joined, member, room


def media(facts: RoomFacts, *people: Person, capturing: bool = True, take: int = 1) -> SessionFacts:
    """The media process carries everyone's camera stream."""
    recordings = {track.person: track.recording for track in facts.tracks}
    return SessionFacts(
        leased=True,
        waiting_s=0.2,
        failing="unreachable",
        stored_up_to=1_777_818_000.7,
        streams=[
            StreamFacts(
                recording=recordings[person.person],
                take=take,
                person=person.person,
                stream=StreamKind.CAMERA,
                connected=True,
                state="recording",
                tracks=[
                    TrackFacts(kind=kind, permitted=True, capturing=capturing, frames=9, bytes=9, fps=29.9)
                    for kind in (TrackKind.CAMERA, TrackKind.VOICE)
                ],
                stored_up_to=1_777_818_000.7,
                views=1,
                health=HealthFacts(
                    word=Word.WEAK,
                    why=[Why.LOSS],
                    bits_per_second=1_800_000,
                    lost=0.02,
                    fps=29.9,
                    level=-31,
                    silent_s=0,
                ),
            )
            for person in people
        ],
    )


def tell(facts: RoomFacts, person: Person, carried: SessionFacts | None) -> RoomTold:
    return told(facts, carried, person, {other: f"name of {other}" for other in facts.people})


def test_a_participant_is_told_of_researchers_and_not_of_other_participants() -> None:
    anna, ben, ada, eve = (
        guest(),
        guest(),
        replace(member("owner"), present=True),
        replace(member("observer"), present=True),
    )
    facts = room(anna, ben, ada, eve)
    carried = media(facts, anna, ben, ada)
    now = tell(facts, anna, carried)
    assert {person.person for person in now.people} == {anna.person, ada.person}
    assert {stream.person for stream in now.streams} == {anna.person, ada.person}
    assert now.observers == 1
    assert now.stored_up_to is None
    assert now.storing_trouble is None
    group = tell(replace(facts, group=True), anna, carried)
    assert {stream.person for stream in group.streams} == {anna.person, ben.person, ada.person}
    assert eve.person not in {person.person for person in group.people}


def test_a_member_is_told_everything_and_observers_may_not_send() -> None:
    anna, ada, eve = guest(), replace(member("owner"), present=True), replace(member("observer"), present=True)
    facts = room(anna, ada, eve)
    now = tell(facts, ada, media(facts, anna))
    assert now.stored_up_to is not None
    assert now.storing_trouble == "unreachable"
    assert now.streams[0].recorded == ["camera", "voice"]
    assert tell(facts, eve, media(facts, anna)).you.may_publish == []


def test_whoever_waits_is_told_of_no_stream() -> None:
    anna, ada = guest(join=joined(admitted=False)), replace(member("owner"), present=True)
    facts = room(anna, ada)
    now = tell(facts, anna, media(facts, ada))
    assert (now.streams, now.you.admitted, now.you.may_publish) == ([], False, [])


@pytest.mark.parametrize("change", [{"capturing": False}, {"take": 2}])
def test_recorded_is_a_fact_of_the_present_take(change: dict[str, Any]) -> None:
    anna = guest()
    facts = room(anna)
    now = tell(facts, anna, media(facts, anna, **change))
    assert [kind for stream in now.streams for kind in stream.recorded] == []


def test_without_the_media_process_nothing_is_claimed() -> None:
    anna = guest()
    now = tell(room(anna), anna, None)
    assert (now.media, now.streams, now.stored_up_to) == (False, [], None)


def test_how_well_a_stream_arrives_is_told_to_those_who_lead_and_to_nobody_else() -> None:
    anna, ben = guest(), guest()
    ada, rosa, eve = (replace(member(role), present=True) for role in ("owner", "researcher", "observer"))
    facts = replace(room(anna, ben, ada, rosa, eve), group=True)
    carried = media(facts, anna, ben, ada)
    told_health = {
        one.person: [stream.health is not None for stream in tell(facts, one, carried).streams]
        for one in (ada, rosa, eve, anna, ben)
    }
    assert told_health[ada.person] == told_health[rosa.person] == [True] * 3
    assert told_health[eve.person] == told_health[anna.person] == told_health[ben.person] == [False] * 3
    assert b'health":null' in msgspec.json.encode(tell(facts, anna, carried))


def test_a_media_process_from_before_an_upgrade_is_understood() -> None:
    """web is upgraded first; media goes on as it was for a moment."""
    anna = guest()
    carried = msgspec.to_builtins(media(room(anna), anna))
    del carried["stored_up_to"], carried["streams"][0]["health"]
    older = msgspec.convert(carried, SessionFacts)
    now = tell(room(anna), replace(member("owner"), present=True), older)
    assert (now.stored_up_to, [stream.health for stream in older.streams]) == (None, [None])


@asynccontextmanager
async def following(scene: Stage, headers: dict[str, str]) -> AsyncIterator[ClientConnection]:
    address = f"{scene.wiring.settings.origin.replace('http', 'ws')}/rooms/{scene.session}/events"
    host = address.replace("localhost", "127.0.0.1")
    async with connect(host, additional_headers=headers, proxy=None, open_timeout=60) as socket:
        yield socket


async def heard(socket: ClientConnection, **wanted: object) -> dict[str, Any]:
    """The first message that says all of this."""
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if all(message[name] == value for name, value in wanted.items()):
            return message


def here(message: dict[str, Any]) -> set[str]:
    return {person["name"] for person in message["people"] if person["present"]}


async def test_changes_reach_everyone_who_follows(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    origin = {"origin": scene.wiring.settings.origin}
    owner = as_(scene, await scene.cookie(member=scene.owner)) | origin
    participant = as_(scene, await scene.cookie(participant=anna)) | origin
    observer = as_(scene, await scene.cookie(member=await scene.member(Role.OBSERVER))) | origin
    async with serving(scene), following(scene, owner) as ada, following(scene, participant) as guest_page:
        first = await heard(guest_page, session=SessionState.SCHEDULED, recording=Switch.OFF)
        assert first["you"]["role"] == "participant"
        await scene.open("open_room")
        assert (await heard(guest_page, session="live"))["you"]["admitted"] is False
        async with asyncio.timeout(60):  # a busy machine may be late in saying who is here
            while here(await heard(ada, session="live")) != {"Ada", "Anna"}:
                pass
        async with following(scene, observer):
            await heard(guest_page, observers=1)
        await heard(guest_page, observers=0)
        await scene.open("end")
        await heard(ada, session="ended")


async def test_whoever_is_not_assigned_any_more_is_told_no_more(database: Database, tmp_path: Path) -> None:
    """Nor anybody whom the session was never shown; owners and participants go on."""
    scene = await stage(database, tmp_path)
    anna, rita, eve = (
        await scene.participant("Anna", *RECORDED),
        await scene.member(Role.RESEARCHER),
        await scene.member(Role.OBSERVER),
    )
    async with database.transaction(scene.account) as db:
        (await db.get_one(Study, scene.study)).assigned_only = True
        await assign(db, account=scene.account, session=scene.session, member=rita, by="system")
    origin = {"origin": scene.wiring.settings.origin}
    owner, researcher, observer = [
        as_(scene, await scene.cookie(member=one)) | origin for one in (scene.owner, rita, eve)
    ]
    participant = as_(scene, await scene.cookie(participant=anna)) | origin
    async with serving(scene), following(scene, owner) as ada, following(scene, participant) as guest_page:
        async with following(scene, observer) as never:
            with pytest.raises(ConnectionClosed):
                await heard(never)
        async with following(scene, researcher) as followed:
            await heard(followed, session=SessionState.SCHEDULED)
            async with database.transaction(scene.account) as db:
                await unassign(db, account=scene.account, session=scene.session, member=rita, by="system")
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(60):
                    await heard(followed, recording="never")
        await scene.open("open_room")
        await heard(ada, session="live")
        await heard(guest_page, session="live")


async def test_a_room_that_cannot_be_seen_is_not_told_as_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An indicator that goes on saying what was true before would be a lie; silence is noticed by the page."""
    scene = await stage(database, tmp_path)
    watch = Watch(scene.wiring, cast(NodeClient, None), scene.account, scene.session)
    monkeypatch.setattr("app.room.watch.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("app.room.watch.LOOK_WITHIN_SECONDS", 60)  # a busy machine is no trouble to tell
    running = asyncio.create_task(watch.run())
    try:
        look = await watch.changed(None, 60)
        assert look is not None
        with monkeypatch.context() as broken:
            broken.setattr(watch, "_look", AsyncMock(side_effect=RuntimeError))
            while look is not None:
                look = await watch.changed(look, 60)
            assert await watch.changed(None, 0.05) is None
        assert [one[2] for one in caplog.record_tuples if one[0] == "junier.room"] == [
            "a room cannot be seen: RuntimeError"
        ]
        assert await watch.changed(None, 60) is not None, "and it comes back by itself"
    finally:
        running.cancel()


async def test_a_look_that_never_ends_is_left_for_another(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection to the database may die without a word."""
    scene = await stage(database, tmp_path)
    watch = Watch(scene.wiring, cast(NodeClient, None), scene.account, scene.session)
    monkeypatch.setattr("app.room.watch.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("app.room.watch.LOOK_WITHIN_SECONDS", 0.05)
    really, looked = watch._look, asyncio.Event()

    async def hangs() -> None:
        looked.set()
        monkeypatch.setattr(watch, "_look", really)
        monkeypatch.setattr("app.room.watch.LOOK_WITHIN_SECONDS", 60)
        await asyncio.Event().wait()

    monkeypatch.setattr(watch, "_look", hangs)
    running = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(60):
            await looked.wait()
            while await watch.changed(None, 1) is None:
                pass
    finally:
        running.cancel()


async def test_a_person_has_some_pages_and_is_here_until_the_last_one_is_closed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.room.events.MOST_PAGES", 2)
    monkeypatch.setattr("app.room.events.HERE_SECONDS", 3_600)
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    origin = {"origin": scene.wiring.settings.origin}
    owner = as_(scene, await scene.cookie(member=scene.owner)) | origin
    participant = as_(scene, await scene.cookie(participant=anna)) | origin
    gone: list[object] = []
    monkeypatch.setattr("app.room.events._gone", AsyncMock(side_effect=lambda *who: gone.append(who[-1])))
    async with serving(scene), following(scene, owner) as ada:
        await heard(ada)
        async with following(scene, participant) as first:
            await heard(first)
            async with following(scene, participant) as second:
                await heard(second)
                with pytest.raises(ConnectionClosed) as closed:
                    async with following(scene, participant) as third:
                        await third.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == TOO_MANY
            async with following(scene, participant) as second:
                await heard(second)
            assert gone == []
        async with asyncio.timeout(60):
            while gone != [anna]:
                await asyncio.sleep(0.01)


async def test_nobody_else_may_follow(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    owner = as_(scene, await scene.cookie(member=scene.owner))
    origin = {"origin": scene.wiring.settings.origin}
    async with serving(scene):
        for headers in (owner, owner | {"origin": "https://elsewhere.example"}):
            with pytest.raises((InvalidStatus, ConnectionClosed)):
                async with following(scene, headers) as socket:
                    await socket.recv()
        for headers in (origin, origin | as_(scene, "x" * 43)):
            with pytest.raises((InvalidStatus, ConnectionClosed)):
                async with following(scene, headers) as socket:
                    await socket.recv()
        async with following(scene, owner | origin) as socket:
            assert (await heard(socket))["type"] == "room"


async def test_who_opens_the_room_too_often_is_told_so_by_a_code_and_a_reason(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULES, "WS /rooms/{session}/events", (at_most(1, By.LOGIN),))  # type: ignore[arg-type]
    scene = await stage(database, tmp_path)
    owner = as_(scene, await scene.cookie(member=scene.owner)) | {"origin": scene.wiring.settings.origin}
    async with serving(scene):
        async with following(scene, owner) as socket:
            await heard(socket)
        with pytest.raises(ConnectionClosed) as closed:
            async with following(scene, owner) as socket:
                await socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == TOO_MANY
    assert closed.value.rcvd.reason.startswith("Too many requests in a short time. Please try again in")
