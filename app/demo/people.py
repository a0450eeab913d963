"""The people of the demo, doing with pages and forms exactly what a person does with a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.demo.browser import Browser, DeadEnd, Page

KINDS = ("video", "audio", "screen", "transcript")
LINK = re.compile(r"https?://\S+")
CODE = re.compile(r"\b\d{6}\b")


@dataclass
class Outbox:
    """The development outbox, where every mail can be read."""

    browser: Browser

    async def newest(self, address: str, containing: str) -> str:
        """Words of the newest mail to `address` that contain `containing`. Raises DeadEnd."""
        listing = await self.browser.open("/outbox")
        for link in listing.links:
            if re.fullmatch(r"/outbox/[0-9a-f-]{36}", link):
                mail = await self.browser.open(link)
                if address in mail.words and containing in mail.words:
                    return mail.words
        raise DeadEnd(f"no mail to {address} contains {containing!r}")

    async def link(self, address: str, part: str) -> str:
        """The first link containing `part` in the newest mail to `address` that has one."""
        for link in LINK.findall(await self.newest(address, part)):
            if part in link:
                return str(link)
        raise DeadEnd(f"no link with {part!r}")

    async def code(self, address: str) -> str:
        """The six digits of the newest code mail."""
        found = CODE.search(await self.newest(address, "code"))
        if found is None:
            raise DeadEnd(f"no code for {address}")
        return found.group()


@dataclass
class Owner:
    """Runs a study: signs in by link, makes a study and a session, invites, leads the room, reviews."""

    browser: Browser
    session: str = ""

    async def sign_in(self, link: str) -> None:
        page = await self.browser.open(link)
        await self.browser.submit(page, "/sign-in/")

    async def create_study(self) -> str:
        """Returns the study's path."""
        page = await self.browser.open("/studies/new")
        shown = await self.browser.submit(
            page,
            "/studies",
            {
                "title": "How people plan a small garden",
                "contact_name": "Ada Owner",
                "contact_email": "ada@studio.example",
                "kinds": KINDS,
            },
        )
        return urlsplit(shown.url).path

    async def create_session(self, study: str) -> None:
        page = await self.browser.open(f"{study}/sessions/new")
        shown = await self.browser.submit(page, "/sessions", {"title": "Two gardeners", "group": "on"})
        self.session = urlsplit(shown.url).path.rpartition("/")[2]

    async def invite(self, name: str, address: str) -> None:
        page = await self.browser.open(f"/sessions/{self.session}")
        await self.browser.submit(page, "/invitations", {"name": name, "email": address})

    async def lead(self, step: str) -> None:
        """open, start, pause, resume, end, or admit/<participant>."""
        await act(self.browser, f"/rooms/{self.session}/{step}")

    async def media_links(self) -> list[str]:
        """Addresses of everything the review page can play."""
        page = await self.review()
        return sorted(set(re.findall(r'src="(/recordings/[0-9a-f-]{36}/media)"', page.html)))

    async def review(self) -> Page:
        return await self.browser.open(f"/sessions/{self.session}/review")


@dataclass
class Guest:
    """A participant: follows the mailed link, registers, consents, and later asks for erasure."""

    number: int
    name: str
    address: str
    browser: Browser
    sent: dict[str, int] = field(default_factory=dict)

    async def register(self, link: str) -> None:
        page = await self.browser.open(link)
        await self.browser.submit(page, "/i/", {"name": self.name, "email": self.address})

    async def consent(self, session: str) -> None:
        page = await self.browser.open(f"/take-part/{session}")
        await self.browser.submit(page, f"/take-part/{session}", {"consent": KINDS})

    async def room_token(self, session: str, stream: str) -> tuple[str, str]:
        """(WHIP address, Bearer token) for one stream."""
        answer = await act(self.browser, f"/rooms/{session}/token", {"stream": stream})
        return answer["whip"], answer["token"]

    async def erase_everything(self, outbox: Outbox) -> str:
        """My data, the mailed code, the button; returns the address of the receipt."""
        page = await self.browser.open("/my-data")
        page = await self.browser.submit(page, "/my-data/code")
        page = await self.browser.submit(page, "/my-data/open", {"code": await outbox.code(self.address)})
        page = await self.browser.open("/my-data")
        page = await self.browser.submit(page, "/my-data/erase")
        return page.url


async def act(browser: Browser, path: str, values: dict[str, str] | None = None) -> dict[str, str]:
    """What the room's page does by script: a POST from our own origin. Raises DeadEnd."""
    answer = await browser.http.post(path, data=values or {}, headers={"Origin": browser.origin})
    if answer.status_code >= 400:
        raise DeadEnd(f"{path} answered {answer.status_code}: {answer.text[:300]}")
    return dict(answer.json()) if answer.content else {}
