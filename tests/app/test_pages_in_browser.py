"""Members' pages in a real Chromium: readable for everyone (axe, WCAG 2.2 AA), no violation of our own policy,
forms that work without JavaScript, the review in step."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect
from sqlalchemy import update

from app.accounts.service import make_link
from app.database import Database
from app.main import create_app
from app.sessions.models import Session
from app.settings import Settings
from app.wiring import Wiring
from recordings.encryption.memory import MemoryKeyStore
from recordings.model import PersonId, StreamKind
from recordings.storage.memory import MemoryStore
from tests.fixtures.ports import free_port
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHOTS = os.environ.get("JUNIER_TEST_SHOTS")  # a folder for pictures of every page, to look at
SIZES = {1280: 900, 360: 740}
ENDS = (320, 1440)
WIDER = "document.documentElement.scrollWidth > innerWidth"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture
def wiring(database: Database, tmp_path: Path) -> Wiring:
    settings = Settings(
        data_dir=tmp_path, public_url=f"http://localhost:{free_port()}", platform_contact="help@junier.example"
    )
    return Wiring(settings=settings, database=database, keys=MemoryKeyStore(), store=MemoryStore())


@pytest.fixture
async def served(wiring: Wiring) -> AsyncIterator[str]:
    port = int(wiring.settings.public_url.rpartition(":")[2])
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(wiring),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,  # streams of live status may be open
        )
    )
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.02)
    yield wiring.settings.public_url
    server.should_exit = True
    await running


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"], timeout=120_000
        )
        yield browser
        await browser.close()


async def sign_in(page: Page, cast: Cast, served: str, *, to: str = "/", who: PersonId | None = None) -> None:
    """who: the owner, if nobody else is named."""
    async with cast.wiring.database.transaction(cast.account) as db:
        link = await make_link(db, cast.wiring.settings, account=cast.account, member=who or cast.owner)
    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{served}{to}")


SQUEEZED = """() => [...document.querySelectorAll('main *')].filter(element => {
  const words = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('')
  const box = element.getBoundingClientRect()
  return words.length > 5 && box.width < 28 && box.height > 80
}).slice(0, 3).map(element => element.outerHTML.slice(0, 120))"""
"""Words set letter under letter because their column has no room."""


async def problems(page: Page) -> list[str]:
    """axe's findings on the page as it stands, and words that nobody can read for want of room. A click has its answer
    when the next page begins to come in: it is looked at when it is there, with its styles and scripts."""
    await page.wait_for_load_state()
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    found = await page.evaluate(
        "tags => axe.run({runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", TAGS
    )
    squeezed = await page.evaluate(SQUEEZED)
    return [f"{v['id']}: {[node['html'][:120] for node in v['nodes'][:3]]}" for v in found["violations"]] + [
        f"squeezed: {html}" for html in squeezed
    ]


async def too_wide(page: Page) -> list[str]:
    """At the ends of what our pages are made for (320 px: WCAG 2.2, 1.4.10); the window keeps its size."""
    before, wide = page.viewport_size, []
    for width in ENDS:
        await page.set_viewport_size({"width": width, "height": 800})
        if await page.evaluate(WIDER):
            wide.append(f"wider than a screen of {width} px")
    if before:
        await page.set_viewport_size(before)
    return wide


async def test_every_page_is_readable_for_everyone_and_keeps_our_policy(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    person = cast.participant.participant
    await stored_recording(cast, tmp_path, person=person, transcript=True)
    await stored_recording(cast, tmp_path, person=person, stream=StreamKind.SCREEN)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.session).values(starts_at=None, title="Pilot 1"))
    mail = next(row for row, content in await mails(cast.wiring) if content)
    unsubscribe = next(c.headers["List-Unsubscribe"][1:-1] for _, c in await mails(cast.wiring) if c)
    paths = {
        "sign-in": "/sign-in",
        "studies": "/",
        "sessions": "/sessions",
        "sessions-coming": "/sessions?show=coming",
        "study": f"/studies/{cast.study}",
        "study-new": "/studies/new",
        "study-edit": f"/studies/{cast.study}/edit",
        "session-new": f"/studies/{cast.study}/sessions/new",
        "session": f"/sessions/{cast.session}",
        "session-empty": f"/sessions/{cast.other_session}",
        "session-moment": f"/sessions/{cast.session}/moment",
        "review": f"/sessions/{cast.session}/review",
        "audit": "/audit",
        "outbox": "/outbox",
        "mail": f"/outbox/{mail.id}",
        "promises": "/promises?status=kept",
        "data-map": "/data-map",
        "unsubscribe": unsubscribe,
        "unsubscribe-sessions": f"{unsubscribe}/sessions",
        "not-here": "/no-such-page",
    }
    wrong: dict[str, list[str]] = {}
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            said.append(message.text)

    page.on("console", listen)
    stranger = await context.new_page()
    await stranger.goto(f"{served}/sign-in")
    await sign_in(page, cast, served)
    for name, path in ({"sign-in-stranger": ""} | paths).items():
        shown = page if path else stranger
        if path:
            await page.goto(path if path.startswith("http") else served + path)
        if name == "data-map":
            await page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wrong[f"{name} at its ends"] = await too_wide(shown)
        for scheme in SCHEMES:
            await shown.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width, height in SIZES.items():
                await shown.set_viewport_size({"width": width, "height": height})
                found = await problems(shown)
                if await shown.evaluate(WIDER):
                    found.append("the page is wider than the screen")
                wrong[f"{name} {scheme} {width}"] = found
                await _shoot(shown, f"{name}-{width}", scheme)
    wrong["policy"] = said
    await context.close()
    assert {name: found for name, found in wrong.items() if found} == {}


async def until(page: Page, expression: str) -> None:
    """wait_for_function would evaluate a string inside the page, which our policy forbids."""
    async with asyncio.timeout(120):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


async def _shoot(page: Page, name: str, scheme: str) -> None:
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{name}-{scheme}.png", full_page=True)


async def test_forms_work_without_javascript_and_our_own_posts_pass_the_origin_check(
    cast: Cast, served: str, chromium: Browser
) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.get_by_role("link", name="New study").click()
    await page.get_by_label("Title").fill("Kettles")
    await page.get_by_label("Their e-mail address").fill("not an address")
    await page.get_by_role("button", name="Create the study").click()
    await expect(page.get_by_text("does not look like an e-mail address")).to_be_visible()
    assert await page.get_by_label("Title").input_value() == "Kettles"
    await page.get_by_label("Their e-mail address").fill("olga@lab.example")
    await page.get_by_role("button", name="Create the study").click()
    await page.get_by_role("link", name="Schedule the first session").click()
    await page.get_by_label("Title").fill("First")
    await page.get_by_role("button", name="Schedule the session").click()
    await page.get_by_label("First name").fill("Carl")
    await page.get_by_label("E-mail address").fill("carl@home.example")
    await page.get_by_role("button", name="Send the invitation").click()
    await expect(page.get_by_role("rowheader", name="Carl")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{served}/studies/new")
    await expect(page.get_by_role("heading", name="Please sign in")).to_be_visible()
    await context.close()
