"""Permission on its way to the media process: who pushes it, past what is slow, and what keeps it away is told."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from app.database import Database
from app.room.node_client import NodeClient, NodeUnreachable
from app.room.node_messages import Permission
from app.room.permission import Troubles, push_all
from app.sessions.models import Node, Session
from app.sessions.service import node_of
from tests.app.room_stage import media, patient, stage
from workers.__main__ import _standing_in as standing_in

NOW = datetime(2026, 5, 3, 14, 32, tzinfo=UTC)


async def test_a_media_process_that_does_not_answer_holds_up_no_other_room(database: Database, tmp_path: Path) -> None:
    scene, other = await stage(database, tmp_path), await stage(database, tmp_path)
    told: list[UUID] = []

    class Media:
        """The port to the media processes: that of the first room accepts and never answers."""

        async def permit(self, url: str, session: UUID, now: Permission) -> None:
            if session == scene.session:
                await asyncio.Event().wait()
            told.append(session)

    for one in (scene, other):
        await one.open("open_room")
        async with database.transaction(one.account) as db:
            await db.merge(Node(name="media-1", url="http://127.0.0.1:1", capacity=9, started_at=NOW, heartbeat_at=NOW))
            (await db.get_one(Session, one.session)).node = "media-1"
    async with asyncio.timeout(60):
        while other.session not in told:  # in the first round, unless this machine is very busy
            await push_all(scene.wiring, cast(NodeClient, Media()))
    assert scene.session not in told


async def test_a_light_worker_gives_permission_while_no_web_process_does(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    await scene.open("open_room")
    settings, client = scene.wiring.settings, patient(scene.wiring.settings)

    async def until_it(leased: bool) -> None:
        async with asyncio.timeout(60):
            while (await client.facts(settings.node_url, scene.session)).leased is not leased:
                await asyncio.sleep(0.05)

    async with media(scene.wiring):
        async with database.transaction(scene.account) as db:
            await node_of(db, await db.get_one(Session, scene.session), eu_only=settings.eu_only)
        await until_it(leased=False)
        async with standing_in(scene.wiring, True):
            await until_it(leased=True)
        await until_it(leased=False)
    await client.close()


async def test_what_keeps_permission_from_a_session_is_told_once_and_again_when_it_changes(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.room.permission.PATIENCE_SECONDS", 60.0)  # a busy machine is no trouble of a session
    monkeypatch.setattr("app.room.permission.ASKED_WITHIN_SECONDS", 60.0)
    scene = await stage(database, tmp_path)
    await scene.open("open_room")
    async with database.transaction(scene.account) as db:
        await db.merge(Node(name="media-1", url="http://127.0.0.1:1", capacity=9, started_at=NOW, heartbeat_at=NOW))
        (await db.get_one(Session, scene.session)).node = "media-1"

    class Media:
        """The port to the media processes: it raises what it is given."""

        trouble: Exception | None = NodeUnreachable()

        async def permit(self, url: str, session: UUID, now: Permission) -> None:
            if self.trouble is not None:
                raise self.trouble

    media, troubles = Media(), Troubles()
    caplog.set_level(logging.INFO, "junier.room")

    async def rounds() -> list[str]:
        caplog.clear()
        for _ in range(3):
            troubles.tell(await push_all(scene.wiring, cast(NodeClient, media)))
        return [one[2] for one in caplog.record_tuples if one[0] == "junier.room"]

    assert await rounds() == [f"no permission for session {scene.session}: NodeUnreachable"]
    assert await rounds() == []
    media.trouble = LookupError("with something personal")
    assert await rounds() == [f"no permission for session {scene.session}: LookupError"]
    media.trouble = None
    assert await rounds() == [f"permission for session {scene.session} again, or it is over"]
    assert await rounds() == []
