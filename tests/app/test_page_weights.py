"""What a participant's phone fetches for each page with an empty cache, over the wire and headers included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page

from app.accounts.login import cookie_name, start_login
from app.accounts.models import Scope
from app.mail.service import MailContent
from tests.app.test_pages_in_browser import chromium, served, sign_in, wiring
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast, mails

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here

PAGE_BYTES = 150_000
ROOM_BYTES = 300_000


async def weigh(page: Page, address: str) -> int:
    """Bytes received until the page is complete, of everything it asks for."""
    session = await page.context.new_cdp_session(page)
    received: list[float] = []
    session.on("Network.loadingFinished", lambda told: received.append(told["encodedDataLength"]))
    await session.send("Network.enable")
    answer = await page.goto(address, wait_until="networkidle")
    assert answer is not None and answer.status == 200, address
    assert len(received) > 3, "a page has its style and its script"
    return round(sum(received))


async def of_participant(cast: Cast, chromium: Browser, scope: Scope) -> Page:
    """A browser with nothing but a login."""
    context = await chromium.new_context(permissions=["camera", "microphone"], locale="en-GB")
    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=scope,
            participant=cast.participant.participant,
            session=cast.session,
        )
    url = cast.wiring.settings.public_url
    await context.add_cookies([{"name": cookie_name(cast.wiring.settings), "value": cookie.value or "", "url": url}])
    return await context.new_page()


async def test_each_page_of_a_participant_is_light_and_the_room_too(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path
) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    unsubscribe = _unsubscribe([content for _, content in await mails(cast.wiring) if content])
    pages: Mapping[str, tuple[Scope, int]] = {
        httpx.URL(cast.participant.link).path: (Scope.ROOM, PAGE_BYTES),
        f"/take-part/{cast.session}": (Scope.ROOM, PAGE_BYTES),
        f"/take-part/{cast.session}/notice": (Scope.ROOM, PAGE_BYTES),
        "/my-data": (Scope.DATA, PAGE_BYTES),
        "/my-data/requests": (Scope.DATA, PAGE_BYTES),
        "/my-data/erase": (Scope.DATA, PAGE_BYTES),
        unsubscribe: (Scope.ROOM, PAGE_BYTES),
        f"/rooms/{cast.session}": (Scope.ROOM, ROOM_BYTES),
    }
    weights = {}
    for path, (scope, _) in pages.items():
        page = await of_participant(cast, chromium, scope)
        weights[path] = await weigh(page, f"{served}{path}")
        await page.context.close()
    assert {path: weight for path, weight in weights.items() if weight > pages[path][1]} == {}


async def test_a_second_page_fetches_no_file_again(cast: Cast, served: str, chromium: Browser) -> None:
    page = await (await chromium.new_context()).new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/members")
    again = await page.evaluate("performance.getEntriesByType('resource').map(one => [one.name, one.transferSize])")
    files = [(name, size) for name, size in again if "/static/" in name]
    assert len(files) > 2 and [name for name, size in files if size > 0] == []


def _unsubscribe(contents: list[MailContent]) -> str:
    link = next(one.headers["List-Unsubscribe"] for one in contents if "List-Unsubscribe" in one.headers)
    return httpx.URL(link.strip("<>")).path
