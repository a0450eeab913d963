"""A room that records, reached by pages without a browser: for stories whose point comes later."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import av

from app.demo.browser import Browser
from app.demo.people import Guest, Owner
from tests.journeys.browser import until
from tests.journeys.finished import playable
from tests.journeys.people import OWNER, platform

STORED = timedelta(seconds=5)


@asynccontextmanager
async def recording_room(folder: Path, **settings: object) -> AsyncIterator[tuple[Owner, Guest]]:
    """A live room that records, with one participant let in who agreed to everything."""
    async with platform(folder, **settings) as at:
        owner = Owner(Browser(at.origin))
        guest = Guest(1, "Mia", "mia@home.example", Browser(at.origin))
        try:
            await owner.browser.submit(await owner.browser.open("/sign-in"), "/sign-in", {"email": OWNER})
            await owner.sign_in(await at.link(OWNER, "/sign-in/"))
            await owner.create_session(await owner.create_study())
            await owner.invite(guest.name, guest.address)
            await guest.register(await at.link(guest.address, "/i/"))
            await guest.consent(owner.session)
            await owner.lead("open")
            await owner.lead(f"admit/{await owner.person(guest.name)}")
            await owner.lead("start")
            yield owner, guest
        finally:
            await owner.browser.close()
            await guest.browser.close()


async def stored(owner: Owner) -> bool:
    """Five seconds after the start are stored of everyone recorded, as the room tells its researcher."""
    room = await owner.room()
    begun = min((one["stored_up_to"] or "" for one in room["streams"] if one["recorded"]), default="")
    return bool(begun) and datetime.fromisoformat(begun) > datetime.fromisoformat(room["recording_since"]) + STORED


async def served(owner: Owner) -> dict[str, int]:
    """Decoded pictures (video) and pieces of sound (audio) of the only recording, once it can be played."""
    link = await until(lambda: playable(owner), "a recording to play")
    with av.open(io.BytesIO((await owner.browser.http.get(link)).content), "r") as container:
        frames = [(packet.stream.type, len(packet.decode())) for packet in container.demux()]
    return {kind: sum(count for one, count in frames if one == kind) for kind in ("video", "audio")}
