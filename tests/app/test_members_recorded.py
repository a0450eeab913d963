"""Members who have themselves recorded: their own switch, at once, remembered, and nobody else's to move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.accounts.members import change_role, remove_member
from app.accounts.models import Role
from app.accounts.service import create_account
from app.audit import Action, AuditEvent
from app.database import Database
from app.room.node_client import NodeClient
from app.room.rows import one_moment, read_room
from app.sessions.listing import recordings_of_session
from app.sessions.models import MemberSwitch, Recording, RecordingState, Session, Take
from app.sessions.service import schedule
from app.studies.models import ConsentKind, Study
from recordings.model import PersonId, SessionId
from tests.app.loopback import accept, offering, until
from tests.app.room_stage import Stage, as_, media, stage, web
from tests.app.test_whip import SDP
from workers.finalise import finalise

ON, OFF = str(Action.MEMBER_RECORDED), str(Action.MEMBER_NOT_RECORDED)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Media process, web and peers share one loop here, and perhaps a busy machine."""
    monkeypatch.setattr("app.room.node_client.TIMEOUT_SECONDS", 60.0)


@asynccontextmanager
async def speaking(http: httpx.AsyncClient, scene: Stage, member: dict[str, str]) -> AsyncIterator[None]:
    """The member's browser sends camera and microphone."""
    pc, _, _, offer = await offering()
    try:
        made = await http.post(f"/whip?session={scene.session}&stream=camera", content=offer, headers=member | SDP)
        assert made.status_code == 201, made.text
        await accept(pc, made.text)
        await until(lambda: pc.connectionState == "connected", "the connection")
        yield
    finally:
        await pc.close()


async def frames(node: NodeClient, scene: Stage) -> dict[str, int]:
    """Frames kept so far of the kinds that may be kept now, as the media process counts them."""
    facts = await node.facts(scene.wiring.settings.node_url, scene.session)
    return {track.kind: track.frames for stream in facts.streams for track in stream.tracks if track.permitted}


async def kept(node: NodeClient, scene: Stage, enough: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    async with asyncio.timeout(60):
        while not enough(found := await frames(node, scene)):
            await asyncio.sleep(0.05)
        return found


async def choices(scene: Stage) -> list[tuple[str, str, dict[str, Any]]]:
    async with scene.wiring.database.transaction(scene.account) as db:
        rows = await db.scalars(select(AuditEvent).where(AuditEvent.action.in_((ON, OFF))).order_by(AuditEvent.number))
        return [(row.action, row.actor, row.facts) for row in rows]


async def switch(scene: Stage, member: PersonId, session: SessionId | None = None) -> bool:
    async with one_moment(scene.wiring.database, scene.account) as db:
        facts = await read_room(db, scene.wiring, account=scene.account, session=session or scene.session)
    return facts.people[member].records_self


async def another_session(scene: Stage) -> SessionId:
    async with scene.wiring.database.transaction(scene.account) as db:
        return await schedule(db, account=scene.account, study=scene.study, title="Second")


async def recordings(scene: Stage) -> list[Recording]:
    async with scene.wiring.database.transaction(scene.account) as db:
        return list(await db.scalars(select(Recording)))


async def listed(scene: Stage) -> list[str]:
    """What the session page says of its recordings."""
    async with scene.wiring.database.transaction(scene.account) as db:
        session, study = await db.get_one(Session, scene.session), await db.get_one(Study, scene.study)
        return [line.state for line in (await recordings_of_session(db, session, study, {})).lines]


async def ended(scene: Stage) -> Recording:
    """Every take has ended and the only recording is made ready."""
    async with asyncio.timeout(60):
        while True:
            async with scene.wiring.database.transaction(scene.account) as db:
                if not (await db.scalars(select(Take.id).where(Take.ended_at.is_(None)))).all():
                    break
            await asyncio.sleep(0.05)
    (row,) = await recordings(scene)
    await finalise(scene.wiring, scene.account, row.id)
    (row,) = await recordings(scene)
    return row


async def test_a_member_is_recorded_from_the_moment_they_say_so_until_they_say_no(
    database: Database, tmp_path: Path
) -> None:
    scene = await stage(database, tmp_path)
    await scene.open("open_room", "start_recording")
    ada, room = as_(scene, await scene.cookie(member=scene.owner)), f"/rooms/{scene.session}"
    node = NodeClient(scene.wiring.settings)
    async with media(scene.wiring), web(scene) as http:
        async with speaking(http, scene, ada):
            assert await frames(node, scene) == {}
            assert (await http.post(f"{room}/record-me", headers=ada)).status_code == 204
            first = await kept(node, scene, lambda now: len(now) == 2 and min(now.values()) > 5)
            assert set(first) == {"camera", "voice"}
            assert (await http.post(f"{room}/pause", headers=ada)).status_code == 204
            assert await frames(node, scene) == {}  # paused for everyone
            assert (await http.post(f"{room}/resume", headers=ada)).status_code == 204
            await kept(node, scene, lambda now: len(now) == 2)
            assert await listed(scene) == [RecordingState.CAPTURING]
            for _ in range(2):
                assert (await http.post(f"{room}/do-not-record-me", headers=ada)).status_code == 204
            assert await frames(node, scene) == {}  # at once, before the command was answered
            assert (await http.post(f"{room}/end", headers=ada)).status_code == 204
        row = await ended(scene)
        assert (row.state, row.person_id, row.person_is_member) == (RecordingState.STORED, scene.owner, True)
        played = await http.get(f"/recordings/{row.id}/media", headers=ada)
        assert played.status_code == 200 and len(played.content) > 1000
        refused = await http.post(f"{room}/record-me", headers=ada)
        assert (refused.status_code, refused.json()["detail"]) == (409, "This session has ended.")
    by = f"member:{scene.owner}"
    assert await choices(scene) == [(ON, by, {"remembered": False}), (OFF, by, {"remembered": False})]
    await node.close()


async def test_whoever_does_not_switch_it_on_leaves_nothing_and_is_not_listed(
    database: Database, tmp_path: Path
) -> None:
    scene = await stage(database, tmp_path)
    await scene.open("open_room", "start_recording")
    ada = as_(scene, await scene.cookie(member=scene.owner))
    async with media(scene.wiring), web(scene) as http:
        async with speaking(http, scene, ada):
            assert await listed(scene) == []
            assert (await http.post(f"/rooms/{scene.session}/end", headers=ada)).status_code == 204
        assert (await ended(scene)).state == RecordingState.EMPTY
        assert await listed(scene) == []
    assert await choices(scene) == []


async def test_the_next_session_begins_as_the_last_one_and_is_then_its_own(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    await scene.open("open_room", "start_recording")
    other = await another_session(scene)
    ada = as_(scene, await scene.cookie(member=scene.owner))
    node = NodeClient(scene.wiring.settings)
    async with media(scene.wiring), web(scene) as http:
        assert not await switch(scene, scene.owner)
        assert (await http.post(f"/rooms/{other}/record-me", headers=ada)).status_code == 204
        assert await switch(scene, scene.owner)  # what the page shows beside the button
        assert "checked" in (await http.get(f"/rooms/{scene.session}", headers=ada)).text
        async with speaking(http, scene, ada):
            await kept(node, scene, lambda now: len(now) == 2)
            assert (await choices(scene))[-1] == (ON, f"member:{scene.owner}", {"remembered": True})
            assert (await http.post(f"/rooms/{other}/do-not-record-me", headers=ada)).status_code == 204
            assert await switch(scene, scene.owner) and not await switch(scene, scene.owner, other)
            await kept(node, scene, lambda now: len(now) == 2)
        async with speaking(http, scene, ada):  # after a reload
            assert await switch(scene, scene.owner)
    assert [action for action, _, _ in await choices(scene)] == [ON, ON, OFF]
    async with database.transaction(scene.account) as db:
        assert len((await db.scalars(select(MemberSwitch))).all()) == 2
    await node.close()


async def test_nobody_but_the_member_moves_it_and_observers_have_none(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    async with database.transaction() as db:
        account, otto = await create_account(
            db, scene.wiring.columns, name="Elsewhere", owner_name="Otto", owner_email="otto@elsewhere.example"
        )
    elsewhere = replace(scene, account=account, owner=otto)
    anna = await scene.participant("Anna", *ConsentKind)
    observer = await scene.member(Role.OBSERVER)
    await scene.open("open_room")
    cast = {
        "participant": (await scene.cookie(participant=anna), 403),
        "observer": (await scene.cookie(member=observer), 403),
        "other account": (await elsewhere.cookie(member=elsewhere.owner), 404),
        "stranger": ("", 401),
    }
    async with web(scene, push=False) as http:
        for who, (cookie, status) in cast.items():
            for command in ("record-me", "do-not-record-me"):
                answer = await http.post(f"/rooms/{scene.session}/{command}", headers=as_(scene, cookie))
                assert answer.status_code == status, f"{who} {command}"
        assert (
            'id="record-me"'
            not in (
                await http.get(f"/rooms/{scene.session}", headers=as_(scene, await scene.cookie(member=observer)))
            ).text
        )
    assert await choices(scene) == []


@pytest.mark.parametrize("how", ["removed", "observer"])
async def test_whoever_is_removed_or_made_an_observer_is_not_recorded_any_more(
    database: Database, tmp_path: Path, how: str
) -> None:
    scene = await stage(database, tmp_path)
    rita = await scene.member(Role.RESEARCHER)
    await scene.open("open_room", "start_recording")
    member = as_(scene, await scene.cookie(member=rita))
    node = NodeClient(scene.wiring.settings)
    async with media(scene.wiring), web(scene) as http:
        assert (await http.post(f"/rooms/{scene.session}/record-me", headers=member)).status_code == 204
        async with speaking(http, scene, member):
            await kept(node, scene, lambda now: len(now) == 2)
            async with database.transaction(scene.account) as db:
                if how == "removed":
                    await remove_member(db, member=rita)
                else:
                    await change_role(db, member=rita, role=Role.OBSERVER)
            await kept(node, scene, lambda now: now == {})
    await node.close()
