"""A browser that gives no camera or microphone: the page says which and what to do, and its person can come in all the
same, by voice or to see and hear."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from app.accounts.login import cookie_name
from app.database import Database
from app.invitations.service import admit
from app.studies.models import ConsentKind
from tests.app.room_stage import media, serving, stage
from tests.journeys.browser import CHROMIUM, FLAGS, Window

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

FAKE_DEVICES = "--use-fake-device-for-media-stream"
ALLOW = "The browser was not allowed to use the camera. Allow it at the address bar, then try again."
ALLOW_BOTH = ALLOW.replace("the camera", "camera and microphone").replace("Allow it", "Allow both")
PLUG_IN = "No camera and no microphone were found. If you have some, plug them in, then try again."


@pytest.mark.parametrize(
    ("devices", "permissions", "told", "recorded"),
    [
        (True, [], ALLOW_BOTH, ""),
        (True, ["microphone"], ALLOW, "voice"),
        (False, ["camera", "microphone"], PLUG_IN, ""),
    ],
    ids=["refused", "only the microphone allowed", "no devices"],
)
async def test_whoever_has_no_camera_is_told_why_and_comes_in(
    database: Database, tmp_path: Path, devices: bool, permissions: list[str], told: str, recorded: str
) -> None:
    scene = await stage(database, tmp_path)
    mia = await scene.participant("Mia", ConsentKind.VIDEO, ConsentKind.AUDIO)
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=mia)
    settings, cookie = scene.wiring.settings, await scene.cookie(participant=mia)
    flags = [flag for flag in FLAGS if devices or flag != FAKE_DEVICES]
    async with media(scene.wiring), serving(scene), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        one = await Window.open(browser, width=360)
        await one.context.clear_permissions()
        await one.context.grant_permissions(permissions)
        await one.context.add_cookies([{"name": cookie_name(settings), "value": cookie, "url": settings.origin}])
        await one.page.goto(f"{settings.origin}/rooms/{scene.session}")
        await expect(one.page.locator("#device-trouble")).to_have_text(f"{told} You can also go in without.")
        await expect(one.page.get_by_role("button", name="Try again")).to_be_enabled()
        await one.look(f"room-no-camera-{recorded or len(permissions)}")
        await one.press("I am ready")
        await expect(one.page.get_by_text("You are connected.")).to_be_visible()
        await one.recording_says(
            f"Recording: {recorded}" if recorded else "Recording is on; nothing of you is recorded now."
        )
        assert one.faults == []
        await browser.close()
