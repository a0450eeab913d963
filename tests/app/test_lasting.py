"""Answers that are already on their way end with what opened them, over a real connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import delete, select, update

from app.accounts import lasting
from app.accounts.models import Login, Member, Role
from app.privacy.rights.zipped import Archive
from app.room.room import permission
from app.room.rows import one_moment, read_room
from app.sessions.models import Recording
from app.studies.models import Study
from recordings.model import RecordingId
from recordings.playback import View
from tests.app.test_pages_in_browser import served, wiring
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast

__all__ = ["served", "wiring"]  # fixtures used here

PATIENCE_S = 60
PIECE_S = 0.02
Change = Callable[[Cast], Awaitable[None]]


def slowly(*asked: object) -> Iterator[bytes]:
    """What is read takes longer than any test waits."""
    for _ in range(int(3 * PATIENCE_S / PIECE_S)):
        time.sleep(PIECE_S)
        yield b"x"


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "ASK_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(View, "read", slowly)
    monkeypatch.setattr(Archive, "read", slowly)


@pytest.fixture
async def film(cast: Cast, tmp_path: Path) -> RecordingId:
    return await stored_recording(cast, tmp_path, person=cast.participant.participant)


class Answer:
    def __init__(self, answer: httpx.Response) -> None:
        self._pieces = answer.aiter_raw()

    async def flows(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(3):
                assert await anext(self._pieces)

    async def ends(self) -> None:
        """Cut off: less came than was announced (RFC 9112 §8)."""
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in self._pieces:
                    pass


@asynccontextmanager
async def opened(served: str, browser: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Answer]:
    """With the cookie of `browser`, over a connection of its own."""
    cookie = browser.headers["cookie"]
    async with (
        httpx.AsyncClient(base_url=served, headers={"cookie": cookie, **headers}, timeout=PATIENCE_S) as there,
        there.stream("GET", path) as answer,
    ):
        assert answer.status_code in (200, 206)
        yield Answer(answer)


async def researcher(db: Any) -> Member:
    member: Member = (await db.scalars(select(Member).where(Member.role == Role.RESEARCHER))).one()
    return member


async def signed_out(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(delete(Login).where(Login.member_id == (await researcher(db)).id))


async def role_taken(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        (await researcher(db)).role = Role.OBSERVER


async def removed(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        (await researcher(db)).removed_at = datetime.now(UTC)


async def assigned_no_more(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(Study, cast.study)).assigned_only = True


@pytest.mark.parametrize("change", [signed_out, role_taken, removed, assigned_no_more])
async def test_a_running_film_and_a_download_end_with_what_opened_them(
    cast: Cast, served: str, film: RecordingId, change: Change
) -> None:
    path = f"/recordings/{film}/media"
    async with (
        opened(served, await cast.browser("researcher"), path, range="bytes=0-") as playing,
        opened(served, await cast.browser("researcher"), f"{path}?download=true&purpose=quality") as download,
        opened(served, await cast.browser("owner"), path, range="bytes=0-") as other,
    ):
        for one in (playing, download, other):
            await one.flows()
        await change(cast)
        await playing.ends()
        await download.ends()
        await other.flows()


async def test_a_running_film_ends_for_everybody_when_the_recording_is_restricted(
    cast: Cast, served: str, film: RecordingId
) -> None:
    async with opened(served, await cast.browser("owner"), f"/recordings/{film}/media") as playing:
        await playing.flows()
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(update(Recording).values(restricted_at=datetime.now(UTC)))
        await playing.ends()


async def test_a_copy_on_its_way_outlives_the_code_that_opened_it_but_not_the_login(
    cast: Cast, served: str, film: RecordingId
) -> None:
    mine = Login.participant_id == cast.participant.participant
    browser = await cast.browser("participant")

    async def proven(until: datetime) -> None:
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(update(Login).where(mine).values(data_until=until))

    await proven(datetime.now(UTC) + timedelta(minutes=10))
    async with opened(served, browser, "/my-data/export.zip") as copy:
        await copy.flows()
        await proven(datetime.now(UTC) - timedelta(minutes=1))
        for _ in range(10):
            await copy.flows()
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(delete(Login).where(mine))
        await copy.ends()


async def test_the_media_process_is_told_which_logins_of_members_still_stand(cast: Cast) -> None:
    """Views asked for with another end with the next push (app.room.node_rooms)."""
    await cast.browser("participant")
    await cast.browser("other_owner")
    for who in ("owner", "owner", "researcher"):
        await cast.browser(who)

    async def told() -> set[UUID]:
        async with one_moment(cast.wiring.database, cast.account) as db:
            facts = await read_room(db, cast.wiring, account=cast.account, session=cast.session)
        return set(permission(facts).logins or ())

    async with cast.wiring.database.transaction(cast.account) as db:
        members = list(await db.scalars(select(Login).where(Login.member_id.is_not(None))))
        first, second, third = members
    assert await told() == {one.id for one in members}
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(delete(Login).where(Login.id == first.id))
        long_ago = datetime.now(UTC) - timedelta(hours=3)
        await db.execute(update(Login).where(Login.id == second.id).values(used_at=long_ago))
    assert await told() == {third.id}
