"""A real Chromium for journeys: fake devices, a look at every page in both widths, conditions to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from typing import TypeVar

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.app.test_pages_in_browser import SHOTS, WIDER, problems, too_wide

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
)
FAKE_SCREEN = "--use-fake-ui-for-media-stream"
"""getDisplayMedia gives a drawn screen; leave it out and name a tab to have real pixels."""
PATIENCE_MS = 60_000
LONG_SECONDS = 180.0
SIZES = {1280: 800, 360: 740}
_Found = TypeVar("_Found")


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """One person's browser profile with its page. `faults`: what a look or the page's own scripts found wrong."""

    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, browser: Browser, *, width: int = 1280) -> Window:
        context = await browser.new_context(
            viewport={"width": width, "height": SIZES[width]}, permissions=["camera", "microphone"], locale="en-GB"
        )
        context.set_default_timeout(PATIENCE_MS)
        window = cls(context, await context.new_page())
        window.page.on("pageerror", lambda error: window.faults.append(f"script: {error}"))
        window.page.on("console", window._listen)
        return window

    async def takes(self, cookies: CookieJar, origin: str) -> None:
        """Sign in as whoever has them."""
        await self.context.add_cookies([{"name": one.name, "value": str(one.value), "url": origin} for one in cookies])

    async def look(self, name: str) -> None:
        """At every width, on the page as it stands: nothing wider than the screen, and axe at two of them."""
        self.faults += [f"{name}: {one}" for one in await too_wide(self.page)]
        async for width in self._widths(name):
            self.faults += [f"{name} at {width}: {one}" for one in await problems(self.page)]
            if await self.page.evaluate(WIDER):
                self.faults.append(f"{name} at {width}: wider than the screen")

    async def picture(self, name: str) -> None:
        """Of a page whose readability is tested elsewhere; only where pictures are kept."""
        if SHOTS:
            async for _ in self._widths(name):
                pass

    async def _widths(self, name: str) -> AsyncIterator[int]:
        before = self.page.viewport_size
        for width, height in SIZES.items():
            await self.page.set_viewport_size({"width": width, "height": height})
            if SHOTS:
                await self.page.screenshot(path=f"{SHOTS}/journey-{name}-{width}.png", full_page=True)
            yield width
        if before:
            await self.page.set_viewport_size(before)

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def recording_says(self, words: str) -> None:
        """The line about recording, which is the same for everyone."""
        await expect(self.page.locator("#recording [data-words]")).to_have_text(words, timeout=PATIENCE_MS)

    async def plays(self, kind: str = "") -> None:
        """Somebody else's picture moves; kind: camera or screen."""
        tile = f'.tile[data-stream="{kind}"] video' if kind else ".tile video"
        moves = f"() => [...document.querySelectorAll('{tile}')].some(v => v.videoWidth > 0 && v.currentTime > 0.3)"
        await self.page.wait_for_function(moves, timeout=PATIENCE_MS)

    def _listen(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.faults.append(f"policy: {message.text}")


async def until(look: Callable[[], Awaitable[_Found | None]], what: str, seconds: float = LONG_SECONDS) -> _Found:
    """Look again until there is an answer; fails with its name."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await look()):
                await asyncio.sleep(0.2)
            return found
    except TimeoutError:
        raise AssertionError(f"did not come: {what}") from None
