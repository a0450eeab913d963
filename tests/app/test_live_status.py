"""Live status: what becomes of a session's recordings arrives by itself, for those who may see it, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import delete, update

from app.accounts import lasting
from app.accounts.models import Login
from app.library import status, watching
from app.library.status import event
from app.library.watching import MOST_PER_LOGIN
from app.sessions.models import Recording, RecordingState, Session, SessionState, Transcript, TranscriptState
from recordings.model import RecordingId
from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

__all__ = ["chromium", "served", "wiring"]  # fixtures used here

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(status, "WAIT_SECONDS", 0.2)


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    """Of a session that has ended; everything is ready."""
    stored = await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    ended = datetime.now(UTC)
    await change(cast, Session, state=SessionState.ENDED, recording_at=ended, ended_at=ended)
    return stored


async def change(cast: Cast, model: Any, **values: object) -> None:
    """As a worker would, in a transaction of its own."""
    which = Session.id == cast.session if model is Session else model.id.is_not(None)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(model).where(which).values(**values))


class Events:
    """Reads a stream event by event."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> tuple[str, str]:
        """Name and data; comments are passed over. Raises StopAsyncIteration at the end."""
        name, data = "", []
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line = await anext(self._lines)
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data.append(line.removeprefix("data: "))
                elif not line and name:
                    return name, "\n".join(data)

    async def until(self, wanted: str) -> tuple[list[str], str]:
        """Names of all events up to the wanted one, and its data."""
        names: list[str] = []
        while True:
            name, data = await self.next()
            names.append(name)
            if name == wanted:
                return names, data


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A connection of its own, as each tab of a browser has one."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, served: str, cast: Cast, cookie: str) -> Tab:
        host = served.removeprefix("http://")
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        wanted = f"GET /sessions/{cast.session}/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"
        writer.write(wanted.encode())
        return cls(reader=reader, writer=writer)

    async def reads(self, until: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(until)

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def following(cast: Cast, served: str, who: str = "owner") -> AsyncIterator[Events]:
    cookie = (await cast.browser(who)).headers["cookie"]
    async with (
        httpx.AsyncClient(base_url=served, headers={"cookie": cookie}, timeout=PATIENCE_S) as browser,
        browser.stream("GET", f"/sessions/{cast.session}/status") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Events(answer)


async def test_members_of_the_account_may_follow_and_nobody_else(cast: Cast, recording: RecordingId) -> None:
    seen = {}
    for who in EVERYONE:
        answer = await (await cast.browser(who)).get(f"/sessions/{cast.session}/status")
        seen[who] = answer.status_code
        assert ("Anna" in answer.text) == (answer.status_code == 200)
        assert ("/erase" in answer.text) == (who == "owner")
    assert seen == {
        "owner": 200,
        "researcher": 200,
        "observer": 200,
        "other_owner": 404,
        "participant": 401,
        "other_participant": 401,
        "stranger": 401,
    }


async def test_it_says_everything_and_ends_when_nothing_changes_any_more(
    cast: Cast, served: str, recording: RecordingId
) -> None:
    async with following(cast, served) as events:
        assert [(await events.next())[0] for _ in range(3)] == ["next", "recordings", "done"]
        with pytest.raises(StopAsyncIteration):
            await events.next()


async def test_each_step_of_a_recording_arrives_and_is_told_once(
    cast: Cast, served: str, recording: RecordingId
) -> None:
    await change(cast, Recording, state=RecordingState.CAPTURED, index_key=None)
    await change(cast, Transcript, state=TranscriptState.WAITING)
    async with following(cast, served) as events:
        _, listed = await events.until("recordings")
        assert "being made ready" in listed
        await change(cast, Recording, state=RecordingState.STORED, index_key="x")
        names, told = await events.until("told")
        assert names == ["recordings", "told"]
        assert told.strip() == "Anna, camera: Stored."
        began = datetime.now(UTC) - timedelta(minutes=30)  # a minute more or less changes no word of what is left
        await change(cast, Transcript, state=TranscriptState.RUNNING, progress=0.8, began_at=began)
        _, told = await events.until("told")
        assert told.strip() == "Anna, camera, transcript: transcribing, 80 %, about 8 minutes left."
        for progress in (0.9, 0.95):
            await change(cast, Transcript, progress=progress)
            name, cell = await events.next()  # one cell, and nothing is announced
            assert name == f"transcript-{recording}"
            assert f"{progress:.0%}".replace("%", " %") in cell
        assert "about 2 minutes left" in cell
        await change(cast, Transcript, state=TranscriptState.READY, progress=1.0)
        names, _ = await events.until("done")
        assert names == ["next", "recordings", "told", "done"]


async def test_it_ends_with_the_login(
    cast: Cast, served: str, recording: RecordingId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "ASK_AGAIN_SECONDS", 0.1)
    await change(cast, Session, state=SessionState.LIVE, ended_at=None)
    async with following(cast, served) as events:
        await events.until("recordings")
        async with cast.wiring.database.transaction(cast.account) as db:
            await db.execute(delete(Login))
        names, _ = await events.until("done")
        assert "told" not in names


async def test_a_quiet_stream_stays_alive_and_pages_of_a_login_are_bounded(
    cast: Cast, served: str, recording: RecordingId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "HEARTBEAT_SECONDS", 0.1)
    await change(cast, Session, state=SessionState.LIVE, ended_at=None)
    cookie = (await cast.browser("owner")).headers["cookie"]
    tabs = [await Tab.open(served, cast, cookie) for _ in range(MOST_PER_LOGIN)]
    for tab in tabs:
        assert (await tab.reads(b": still here")).startswith(b"HTTP/1.1 200")
    refused = await Tab.open(served, cast, cookie)
    assert (await refused.reads(b"Too many pages")).startswith(b"HTTP/1.1 429")
    other = await Tab.open(served, cast, (await cast.browser("researcher")).headers["cookie"])
    assert (await other.reads(b": here")).startswith(b"HTTP/1.1 200")  # another login is not held up
    tabs[0].close()
    async with asyncio.timeout(PATIENCE_S):
        while not (await (again := await Tab.open(served, cast, cookie)).reads(b"\r\n")).startswith(b"HTTP/1.1 200"):
            again.close()
    for tab in (*tabs[1:], refused, other, again):
        tab.close()


def test_every_line_of_an_event_stands_in_a_field_of_its_own() -> None:
    assert event("next", "<p>a</p>\n<p>b</p>\n") == "event: next\ndata: <p>a</p>\ndata: <p>b</p>\n\n"


@pytest.mark.browser
async def test_the_page_changes_by_itself_and_keeps_the_readers_place(
    cast: Cast, served: str, chromium: Browser, recording: RecordingId
) -> None:
    await change(cast, Transcript, state=TranscriptState.RUNNING, progress=0.1)
    context = await chromium.new_context(viewport={"width": 360, "height": 500})
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/sessions/{cast.session}")
    await page.evaluate("document.body.dataset.kept = 'yes'")
    await expect(page.get_by_text("transcribing, 10 %")).to_be_visible()
    await page.locator(f"#erase-{recording}").focus()
    place = await page.evaluate("scrollY")
    await change(cast, Transcript, progress=0.4)
    await expect(page.get_by_text("transcribing, 40 %")).to_be_visible(timeout=PATIENCE_S * 1000)
    await expect(page.locator("#told")).to_be_empty()
    await change(cast, Transcript, state=TranscriptState.READY, progress=1.0)
    await expect(page.get_by_text("Everything is ready.")).to_be_visible(timeout=PATIENCE_S * 1000)
    await expect(page.locator("#told")).to_contain_text("transcript: ready, 12 words")
    assert await page.locator(":focus").get_attribute("id") == f"erase-{recording}"
    assert abs(await page.evaluate("scrollY") - place) < 60
    assert await page.evaluate("document.body.dataset.kept") == "yes"
    await context.close()


@pytest.mark.browser
async def test_without_javascript_a_link_says_how_to_look_again(
    cast: Cast, served: str, chromium: Browser, recording: RecordingId
) -> None:
    await change(cast, Transcript, state=TranscriptState.RUNNING, progress=0.1)
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/sessions/{cast.session}")
    await change(cast, Transcript, progress=0.4)
    await page.get_by_role("link", name="Look again").click()
    await expect(page.get_by_text("transcribing, 40 %")).to_be_visible()
    await context.close()
