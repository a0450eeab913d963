"""Steps that owners and participants take in their own browsers, on the platform as `junier serve` runs it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.demo import people as by_http
from app.demo.browser import Browser as PlainBrowser
from app.demo.browser import DeadEnd
from app.demo.stage import Stage
from tests.fixtures.ports import free_ports
from tests.journeys.browser import Window, until

OWNER = "ada@studio.example"
STUDY = "How people read aloud"


@dataclass
class Platform:
    """`junier serve` with everything embedded, and the outbox in which its mails wait."""

    stage: Stage
    outbox: by_http.Outbox

    @property
    def origin(self) -> str:
        return self.stage.settings.origin

    async def link(self, address: str, part: str) -> str:
        return await until(lambda: _found(self.outbox.link(address, part)), f"a mail to {address} with {part}")

    async def code(self, address: str) -> str:
        return await until(lambda: _found(self.outbox.code(address)), f"a code for {address}")


async def _found(asked) -> str | None:
    try:
        return await asked
    except DeadEnd:
        return None


@asynccontextmanager
async def platform(folder: Path, **settings: object) -> AsyncIterator[Platform]:
    """Started from nothing with its first owner; stopped afterwards."""
    web, node = free_ports(2)
    stage = await Stage.open(folder / "platform", port=web, node_port=node, **settings)
    browser = PlainBrowser(stage.settings.origin)
    try:
        await stage.command(
            "account", "create", "--name", "Studio Ada", "--owner-name", "Ada Owner", "--owner-email", OWNER
        )
        yield Platform(stage, by_http.Outbox(browser))
    finally:
        await browser.close()
        await stage.close()


@dataclass
class Owner(Window):
    """Runs the study."""

    session: str = ""

    async def sign_in(self, at: Platform) -> None:
        """By mailed link."""
        await self.ask_to_sign_in(at)
        await self.use_link(at)

    async def ask_to_sign_in(self, at: Platform) -> None:
        await self.page.goto(f"{at.origin}/sign-in")
        await self.picture("sign-in")
        await self.page.get_by_label("E-mail address").fill(OWNER)
        await self.page.get_by_role("button", name="Send me a link").click()
        await self.picture("link-sent")

    async def use_link(self, at: Platform) -> None:
        await self.page.goto(await at.link(OWNER, "/sign-in/"))
        await self.picture("use-link")
        await self.press("Sign in")
        await self.page.wait_for_url(f"{at.origin}/")

    async def prepare(self, at: Platform) -> None:
        """The agreement, a study that records everything, and its first session."""
        await self.picture("no-studies")
        await self.page.get_by_role("link", name="Read and accept the agreement").click()
        await self.picture("agreement")
        await self.press("Accept the agreement")
        await self.page.goto(f"{at.origin}/studies/new")
        await self.page.get_by_label("Title").fill(STUDY)
        await self.page.get_by_label("Contact for participants").fill("Ada Owner")
        await self.page.get_by_label("Their e-mail address").fill(OWNER)
        for kind in ("Video", "Audio", "Screen", "Transcript"):
            await self.page.get_by_role("switch", name=re.compile(f"^{kind}")).check()
        await self.press("Create the study")
        await self.picture("study")
        await self.page.get_by_role("link", name="Schedule the first session").click()
        await self.page.get_by_label("Title").fill("Pilot 1")
        await self.press("Schedule the session")
        await self.page.wait_for_url(re.compile("/sessions/[0-9a-f-]{36}"))
        self.session = urlsplit(self.page.url).path.rpartition("/")[2]

    async def invite(self, name: str, address: str) -> None:
        await self.page.get_by_label("First name").fill(name)
        await self.page.get_by_label("E-mail address").fill(address)
        await self.press("Send the invitation")
        await self.page.get_by_role("rowheader", name=name).wait_for()

    async def enter(self, at: Platform) -> None:
        await self.page.goto(f"{at.origin}/rooms/{self.session}")

    async def end_session(self) -> None:
        await self.page.get_by_text("End the session").click()
        await self.press("End for everyone")


@dataclass
class Guest(Window):
    """Takes part."""

    name: str = "Mia"
    address: str = "mia@home.example"

    async def register(self, at: Platform) -> None:
        await self.page.goto(await at.link(self.address, "/i/"))
        await self.picture("invitation")
        await self.page.get_by_label("Your first name").fill(self.name)
        await self.page.get_by_label("Your e-mail address").fill(self.address)
        await self.press("Register and continue")
        await self.page.wait_for_url(f"{at.origin}/take-part/*")

    async def consent(self, at: Platform, kinds: Collection[str]) -> None:
        """Every switch is off at first. Leads to the device check."""
        assert await self.page.get_by_role("switch", checked=True).count() == 0
        await self.picture("consent")
        for kind in kinds:
            await self.page.get_by_role("switch", name=kind).check()
        await self.press("Go to the room")
        await self.page.wait_for_url(f"{at.origin}/rooms/*")
