"""The people of the demo, doing with pages and forms exactly what a person does with a browser."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.typing import Origin

from app.demo.browser import Browser, DeadEnd, Page

KINDS = ("video", "audio", "screen", "transcript")
ROOM_SECONDS = 60
LINK = re.compile(r"https?://\S+")
MEDIA = re.compile(r'src="(/recordings/[0-9a-f-]{36}/media)"')
TAGS = re.compile(r"<[^>]*>")  # WebVTT's voice spans and word times
TRANSCRIPT = re.compile(r'formaction="(/recordings/[0-9a-f-]{36}/transcript/vtt)"')
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
        """Returns the study's path; the processing agreement is accepted before."""
        await self.browser.submit(await self.browser.open("/agreement"), "/agreement", {})
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

    async def room(self) -> dict[str, Any]:
        """The room at this moment, as its own WebSocket tells it (app/room/PROTOCOL.md)."""
        cookie = "; ".join(f"{c.name}={c.value}" for c in self.browser.http.cookies.jar)
        url = f"{self.browser.origin.replace('http', 'ws', 1)}/rooms/{self.session}/events"
        async with connect(
            url,
            origin=Origin(self.browser.origin),
            additional_headers={"Cookie": cookie},
            proxy=None,
            open_timeout=ROOM_SECONDS,
        ) as room:
            return dict(json.loads(await asyncio.wait_for(room.recv(), ROOM_SECONDS)))

    async def person(self, name: str) -> str:
        """Id of somebody in the room. Raises DeadEnd."""
        for one in (await self.room())["people"]:
            if one["name"] == name:
                return str(one["person"])
        raise DeadEnd(f"{name} is not in the room")

    async def review(self) -> Page:
        return await self.browser.open(f"/sessions/{self.session}/review")

    async def media_links(self) -> list[str]:
        """Addresses of everything the review page can play."""
        return sorted(set(MEDIA.findall((await self.review()).html)))

    async def transcript(self, name: str) -> str | None:
        """What this person said, from the transcript beside the player; None while it is being written."""
        for link in sorted(set(TRANSCRIPT.findall((await self.review()).html))):
            text = (await self.browser.http.get(link, params={"purpose": "quality"})).text
            if f"<v {name}>" in text:
                return " ".join(TAGS.sub("", line) for line in text.splitlines() if line.startswith("<v "))
        return None


@dataclass
class Guest:
    """A participant: follows the mailed link, registers, consents, and later asks for erasure."""

    number: int
    name: str
    address: str
    browser: Browser

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

    async def erase_everything(self, code: Callable[[], Awaitable[str]]) -> str:
        """My data, the mailed code, the button; returns the address of the receipt."""
        page = await self.browser.open("/my-data")
        page = await self.browser.submit(page, "/my-data/code")
        await self.browser.submit(page, "/my-data/open", {"code": await code()})
        page = await self.browser.open("/my-data/erase")
        return (await self.browser.submit(page, "/my-data/erase")).url


async def act(browser: Browser, path: str, values: dict[str, str] | None = None) -> dict[str, str]:
    """What the room's page does by script: a POST from our own origin. Raises DeadEnd."""
    answer = await browser.http.post(path, data=values or {}, headers={"Origin": browser.origin})
    if answer.status_code >= 400:
        raise DeadEnd(f"{path} answered {answer.status_code}: {answer.text[:300]}")
    return dict(answer.json()) if answer.content else {}
