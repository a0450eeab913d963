"""A session in two real browsers: the participant is seen and heard, recorded, withdraws a consent, comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect
from sqlalchemy import select

from app.accounts.login import cookie_name
from app.database import Database
from app.invitations.service import admit
from app.room.node_rooms import FullForViewers
from app.sessions.models import Recording, Take, Track
from app.studies.models import ConsentKind
from recordings.storage.layout import person_prefix
from tests.app.room_stage import Stage, media, serving, stage
from tests.journeys.browser import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
]
PATIENCE_MS = 60_000
HEAR = """() => {
    const told = document.querySelector("#health-told");
    window.heard = [];
    new MutationObserver(() => heard.push(told.textContent)).observe(told, { childList: true });
}"""
"""Keeps what a screen reader is told of the streams."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def signed_in(browser: Browser, scene: Stage, cookie: str, width: int = 1280) -> tuple[BrowserContext, Page]:
    """A page of its own browser profile; errors of its scripts fail the test."""
    context = await browser.new_context(viewport={"width": width, "height": 800}, permissions=["camera", "microphone"])
    context.set_default_timeout(PATIENCE_MS)
    await context.add_cookies(
        [{"name": cookie_name(scene.wiring.settings), "value": cookie, "url": scene.wiring.settings.origin}]
    )
    return context, await context.new_page()


async def plays(page: Page) -> None:
    """The other side's picture moves."""
    await page.wait_for_function(
        "() => [...document.querySelectorAll('.tile video')].some(v => v.videoWidth > 0 && v.currentTime > 0.3)",
        timeout=PATIENCE_MS,
    )


async def full(route: Route) -> None:
    """As the server answers while the media process takes no more viewers."""
    problem = {"type": "about:blank", "status": 503, "detail": str(FullForViewers())}
    await route.fulfill(status=503, json=problem, headers={"retry-after": "1"})


async def says(page: Page, words: str) -> None:
    await expect(page.locator("#recording [data-words]")).to_have_text(words, timeout=PATIENCE_MS)


async def test_a_session_from_the_device_check_to_its_end(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", ConsentKind.VIDEO, ConsentKind.AUDIO)
    room = f"{scene.wiring.settings.origin}/rooms/{scene.session}"
    async with media(scene.wiring), serving(scene), chromium() as browser:
        _, ada = await signed_in(browser, scene, await scene.cookie(member=scene.owner))
        _, guest = await signed_in(browser, scene, await scene.cookie(participant=anna), width=360)
        faults: list[str] = []
        for page in (ada, guest):
            page.on("pageerror", lambda error: faults.append(str(error)))
        await ada.goto(room)
        await ada.get_by_role("button", name="Open the room").click()

        # device check, then the waiting room: nothing leaves the browser before being let in
        await guest.goto(room)
        await guest.get_by_role("button", name="I am ready").click()
        await expect(guest.get_by_role("heading", name="Waiting room")).to_be_visible()
        await says(guest, "Not recording")
        assert await all_of(scene, Take) == []

        # a viewer who finds no place reads so, and sees the picture once there is one
        await guest.route("**/whep/*", full)
        await ada.get_by_role("button", name="Let Anna in").click()
        await ada.get_by_role("button", name="Join with camera and microphone").click()
        await expect(guest.locator(".tile .notice")).to_have_text(
            f"{FullForViewers()} Trying again by itself.", timeout=PATIENCE_MS
        )
        await guest.unroute("**/whep/*")
        await plays(ada)
        await plays(guest)
        await expect(guest.locator(".tile .notice")).to_be_hidden()
        await says(ada, "Not recording")
        assert not list(scene.wiring.store.list(person_prefix(scene.account, scene.session, anna)))

        await ada.get_by_role("button", name="Start recording").click()
        await says(guest, "Recording: video and voice")
        await says(ada, "Recording: video and voice")
        await ada.evaluate(HEAR)
        await guest.get_by_role("button", name="Mute").click()
        await expect(ada.locator("#stored")).to_contain_text("Recorded and stored up to 0:", timeout=PATIENCE_MS)
        assert list(scene.wiring.store.list(person_prefix(scene.account, scene.session, anna)))

        # how well each stream arrives, for who leads: a word, and the numbers behind it
        line = ada.locator("#health li", has_text="Anna")
        silence = "No sound from the microphone for 10 s."
        await expect(line.locator(".notice")).to_contain_text(silence, timeout=PATIENCE_MS)
        await ada.wait_for_function("words => heard.some((one) => one.includes(words))", arg=silence)
        await guest.get_by_role("button", name="Unmute").click()
        await expect(line.locator(".notice")).not_to_contain_text(silence)
        await expect(line).to_have_attribute("data-word", re.compile("good|weak"))  # a busy machine sends few pictures
        await line.locator("summary").click()
        numbers = line.locator("dl")
        await expect(numbers).to_contain_text(re.compile(r"Arriving[\d.]+ [kM]bit/s"))
        await expect(numbers).to_contain_text(re.compile(r"Pictures a second[1-9]"))
        await expect(numbers).to_contain_text(re.compile(r"Microphone \(0 dB is loudest\)−\d+ dB"))  # RFC 6464
        await expect(numbers).to_contain_text(re.compile(r"Stored up to0:\d\d:\d\d"))
        assert await guest.locator("#health").count() == 0

        # the participant's own switches
        await guest.get_by_role("button", name="Pause my recording").click()
        await says(guest, "You paused your recording")
        await expect(ada.get_by_text("Anna: paused their own recording")).to_be_visible()
        await guest.get_by_role("button", name="Resume my recording").click()
        await says(guest, "Recording: video and voice")
        await guest.get_by_text("Withdraw a consent").click()
        await guest.get_by_role("button", name="Withdraw: your voice").click()
        await says(guest, "Recording: video")
        await says(ada, "Recording: video")
        tracks = await tracks_of(scene, anna)
        assert tracks["voice"].closed_at is not None
        assert tracks["camera"].closed_at is None

        # a reload comes back into the same recording by itself, without the voice
        await guest.reload()
        await says(guest, "Recording: video")
        await plays(guest)
        await until(lambda: taken(scene, anna, 2), "a take of the page that came back")  # till then of the one before
        await says(guest, "Recording: video")
        await plays(ada)

        await ada.get_by_text("End the session").click()
        await ada.get_by_role("button", name="End for everyone").click()
        await expect(guest.get_by_role("heading", name="Thank you")).to_be_visible()
        await says(guest, "The session has ended. Nothing is recorded.")
        async with asyncio.timeout(90):
            while not all(take.ended_at for take in await takes_of(scene, anna)):
                await asyncio.sleep(0.1)
        assert faults == []
        assert [take.number for take in await takes_of(scene, anna)] == [1, 2]
    recorded = [row for row in await all_of(scene, Recording) if row.person_id == anna]
    assert [row.state for row in recorded] == ["captured"]


async def test_the_room_survives_the_media_process(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", ConsentKind.VIDEO, ConsentKind.AUDIO)
    room = f"{scene.wiring.settings.origin}/rooms/{scene.session}"
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=anna)
    async with serving(scene), chromium() as browser:
        _, ada = await signed_in(browser, scene, await scene.cookie(member=scene.owner))
        _, guest = await signed_in(browser, scene, await scene.cookie(participant=anna))
        await ada.goto(room)
        await guest.goto(room)
        async with media(scene.wiring):
            await guest.get_by_role("button", name="I am ready").click()
            await says(guest, "Recording: video and voice")
            await plays(ada)
        await says(guest, "Recording is on, but the media server cannot be reached.")
        await expect(ada.get_by_text("The media server cannot be reached. Nothing is being recorded")).to_be_visible()
        async with media(scene.wiring):
            await says(guest, "Recording: video and voice")
            await plays(ada)
            assert [take.number for take in await takes_of(scene, anna)] == [1, 2]
            await guest.close()
            await expect(ada.get_by_text("Anna: not here")).to_be_visible()


async def all_of(scene: Stage, kind: type[Any]) -> list[Any]:
    async with scene.wiring.database.transaction(scene.account) as db:
        return list(await db.scalars(select(kind)))


async def taken(scene: Stage, person: object, number: int) -> bool:
    return number in [take.number for take in await takes_of(scene, person)]


async def tracks_of(scene: Stage, person: object) -> dict[str, Track]:
    mine = {row.id for row in await all_of(scene, Recording) if row.person_id == person}
    return {track.kind: track for track in await all_of(scene, Track) if track.recording_id in mine}


async def takes_of(scene: Stage, person: object) -> list[Take]:
    mine = {row.id for row in await all_of(scene, Recording) if row.person_id == person}
    takes = [take for take in await all_of(scene, Take) if take.recording_id in mine]
    return sorted(takes, key=lambda take: take.number)
