"""An account's export whose owner is one no more while it is sent ends as a download that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import delete, update

from app.accounts import lasting
from app.accounts.models import Login, Member, Role
from app.database import Db, now_in
from app.privacy.keeping import export_routes
from tests.app.test_pages_in_browser import served, wiring
from tests.fixtures.web import Cast

__all__ = ["served", "wiring"]  # fixtures used here

PATIENCE_S = 60
EXPORT = "/account/export.zip?purpose=leaving"


async def signed_out(db: Db) -> None:
    await db.execute(delete(Login).where(Login.member_id.is_not(None)))


async def role_taken(db: Db) -> None:
    await db.execute(update(Member).where(Member.role == Role.OWNER).values(role=Role.RESEARCHER))


async def removed(db: Db) -> None:
    await db.execute(update(Member).where(Member.role == Role.OWNER).values(removed_at=await now_in(db)))


@pytest.mark.parametrize("change", [signed_out, role_taken, removed])
async def test_it_breaks_off(cast: Cast, served: str, monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    """Until the change all flows; after it, and only then, no more comes, and the connection breaks."""
    go_on, changed = asyncio.Event(), asyncio.Event()

    async def sent(*made: object) -> AsyncIterator[bytes]:
        yield b"begun"
        go_on.set()
        await changed.wait()
        while True:
            yield b"more"

    monkeypatch.setattr(export_routes, "send_export", sent)
    monkeypatch.setattr(lasting, "ASK_AGAIN_SECONDS", 0.0)
    cookie = (await cast.browser("owner")).headers["cookie"]
    async with (
        asyncio.timeout(PATIENCE_S),
        httpx.AsyncClient(base_url=served, headers={"cookie": cookie}, timeout=PATIENCE_S) as owner,
        owner.stream("GET", EXPORT) as answer,
    ):
        assert answer.status_code == 200
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"begun"
        await go_on.wait()
        async with cast.wiring.database.transaction(cast.account) as db:
            await change(db)  # type: ignore[operator]
        changed.set()
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in pieces:
                pass


async def test_whole_it_ends_as_such(cast: Cast, served: str) -> None:
    cookie = (await cast.browser("owner")).headers["cookie"]
    async with httpx.AsyncClient(base_url=served, headers={"cookie": cookie}, timeout=PATIENCE_S) as owner:
        assert (await owner.get(EXPORT)).content[-22:-18] == b"PK\x05\x06"
