"""An upgrade in the middle of a recorded session (deploy/upgrade.sh): the database, workers, web, media last.

The publisher goes on while web and workers come anew, and publishes again when media went, as the page would; there is
one recording, and nothing is missing but what was sent into the cut. That a worker gives permission while web is away:
tests/app/test_permission_pushed.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from app.demo import clips
from app.demo.browser import Browser
from app.demo.clips import Clip
from app.demo.inspection import Inspection, inspect
from app.demo.people import Guest, Owner
from app.demo.publisher import Publication, PublishFailed, publish
from app.demo.story import until
from tests.journeys.deployment import ROOT, Deployment
from tests.journeys.finished import playable
from tests.journeys.stage import OWNER, PARTS, Mailbox, taken_in

LIMIT_SECONDS = 90
SLOWER = 4
"""So the pictures last until worker and web have come anew on a busy machine; the clip is over in forty seconds."""


@pytest.mark.timeout(900)
async def test_an_upgrade_leaves_one_recording_with_everything_but_the_cut(
    deployment: Deployment, mailbox: tuple[Mailbox, int]
) -> None:
    box = mailbox[0]
    owner, guest = await session_that_records(deployment, box)
    whip, token = await guest.room_token(owner.session, "camera")
    ready = partial(taken_in, deployment, owner.session)
    before = await publish(guest.browser.http, whip, token, slow_camera(), clips.speech(1), ready=ready)
    room = await listening(owner)
    following = asyncio.create_task(status_followed(owner))
    await kept(deployment, 60)

    assert "already at revision" in deployment.run("migrate")
    assert await asyncio.gather(deployment.restart("worker"), deployment.restart("transcriber")) == [0, 0]
    assert await deployment.restart("web") == -signal.SIGTERM
    await asyncio.wait_for(ends(room), LIMIT_SECONDS)  # the page's own socket: it connects again by itself
    assert await asyncio.wait_for(following, LIMIT_SECONDS) > 0  # and so does its stream of events
    room = await listening(owner)
    assert before.is_connected
    await kept(deployment, await frames_kept(deployment) + 60)  # nobody's stream noticed

    pictures, sounds = before.frames_sent, before.audio_packets_sent
    ended = asyncio.create_task(deployment.restart("media"))
    await asyncio.wait_for(before.done.wait(), LIMIT_SECONDS)  # media said goodbye
    await before.close()
    after = await published_again(owner, guest, ready)
    assert await ended == 0
    await kept(deployment, 60)
    await after.close()
    await owner.lead("end")

    seen = inspect((await owner.browser.http.get(await until(partial(playable, owner)))).content)
    assert len(await owner.media_links()) == 1
    assert takes(deployment) == [(2, 2)]
    cut = lost_in_the_cut(seen, before, after)
    assert all(frame >= pictures for frame in cut), "what was sent before media was asked to go"
    assert seen.audio_packets >= sounds + after.audio_packets_sent
    assert await until(partial(owner.transcript, guest.name))
    for browser in (owner.browser, guest.browser):
        await browser.close()


def slow_camera() -> Clip:
    clip = clips.camera(1)
    return replace(clip, packets=tuple(replace(one, ticks=SLOWER * one.ticks) for one in clip.packets))


def lost_in_the_cut(seen: Inspection, before: Publication, after: Publication) -> list[int]:
    """Frames that are not there, by their numbers; all of them the last ones before the cut. The clip began anew."""
    numbers = [number.frame for number in seen.numbers if number is not None]
    assert seen.foreign(1) == 0
    again = next(i for i in range(1, len(numbers)) if numbers[i] <= numbers[i - 1])
    first, second = numbers[:again], numbers[again:]
    assert first == list(range(len(first))) and second == list(range(after.frames_sent))
    return list(range(len(first), before.frames_sent))


async def session_that_records(deployment: Deployment, box: Mailbox) -> tuple[Owner, Guest]:
    deployment.run("migrate")
    deployment.start(*PARTS)
    await deployment.ready()
    deployment.run("web", "account", "create", "--name", "Studio", "--owner-name", "Ada", "--owner-email", OWNER)
    origin = deployment.settings().origin
    owner = Owner(Browser(origin))
    guest = Guest(number=1, name="Mia", address="mia@home.example", browser=Browser(origin))
    await owner.sign_in(await until(partial(box.link, OWNER, "/sign-in/")))
    await owner.create_session(await owner.create_study())
    await owner.invite(guest.name, guest.address)
    await guest.register(await until(partial(box.link, guest.address, "/i/")))
    await guest.consent(owner.session)
    await owner.lead("open")
    await owner.lead(f"admit/{await owner.person(guest.name)}")
    await owner.lead("start")
    return owner, guest


async def published_again(owner: Owner, guest: Guest, ready: Callable[[], Awaitable[None]]) -> Publication:
    """As the page does: again until media is back."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                whip, token = await guest.room_token(owner.session, "camera")
                return await publish(guest.browser.http, whip, token, clips.camera(1), clips.speech(1), ready=ready)
            except PublishFailed as failed:
                if not failed.retry:
                    raise
                await asyncio.sleep(0.2)


async def listening(owner: Owner) -> connect:
    """The room's own WebSocket, as the page holds it; connects again until web is back."""
    cookie = "; ".join(f"{c.name}={c.value}" for c in owner.browser.http.cookies.jar)
    url = f"{owner.browser.origin.replace('http', 'ws', 1)}/rooms/{owner.session}/events"
    headers = {"Cookie": cookie}
    origin = Origin(owner.browser.origin)
    socket = await connect(url, origin=origin, additional_headers=headers, proxy=None, open_timeout=LIMIT_SECONDS)
    assert json.loads(await asyncio.wait_for(socket.recv(), LIMIT_SECONDS))["people"]
    return socket


async def status_followed(owner: Owner) -> int:
    """The live status of the session's page, until the server ends it; how many events came."""
    events = 0
    with suppress(httpx.TransportError):
        async with owner.browser.http.stream(
            "GET", f"/sessions/{owner.session}/status", timeout=LIMIT_SECONDS
        ) as stream:
            async for line in stream.aiter_lines():
                events += line.startswith("event:")
    return events


async def ends(socket: connect) -> None:
    try:
        while True:
            await socket.recv()
    except ConnectionClosed:
        return


async def frames_kept(deployment: Deployment) -> float:
    return (await deployment.numbers("media"))["junier_media_frames_kept_total"]


async def kept(deployment: Deployment, frames: float) -> None:
    """Wait until so many frames were kept since media started."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while await frames_kept(deployment) < frames:
            await asyncio.sleep(0.1)


def takes(deployment: Deployment) -> list[tuple[int, int]]:
    """(takes, highest number) of each recording there is."""
    with psycopg.connect(deployment.settings("migrate").migration_database_url) as connection:
        return connection.execute("SELECT count(*), max(number) FROM take GROUP BY recording_id").fetchall()


def test_the_script_does_these_steps_in_this_order() -> None:
    script = (ROOT / "deploy/upgrade.sh").read_text()
    steps = re.findall(r"^docker compose (.*)$", script, re.MULTILINE)
    assert steps == [
        "build",
        "run --rm migrate",
        "up -d --no-deps --wait worker transcriber",
        "up -d --no-deps --wait web",
        "up -d --no-deps --wait media",
        "up -d",
    ]
    assert Path(ROOT / "deploy/upgrade.sh").stat().st_mode & 0o100
