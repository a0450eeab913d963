"""One's own camera and microphone, and sound that a browser holds back: what the room says is what is so, also when the
browser answers late, refuses, or was loaded anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import CDPSession, Page, async_playwright, expect

from app.accounts.models import Role
from app.database import Database
from app.invitations.service import admit
from app.studies.models import ConsentKind
from recordings.model import PersonId
from tests.app.room_stage import Stage, media, serving, stage
from tests.journeys.browser import CHROMIUM, FAKE_SCREEN, FLAGS, chromium, until
from tests.journeys.rows import window

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

DEVICES = """
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.devices = { asked: 0, given: [], answer: Promise.resolve(), refused: "", silent: false };
navigator.mediaDevices.getUserMedia = async (wanted) => {
  devices.asked += 1;
  await devices.answer;
  if (devices.refused && wanted[devices.refused]) throw new DOMException("", "NotAllowedError");
  const media = await real(wanted);
  if (devices.silent && wanted.audio) {
    const [voice] = media.getAudioTracks();
    voice.stop();
    media.removeTrack(voice);
    media.addTrack(new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0]);
  }
  devices.given.push(...media.getTracks());
  return media;
};
"""
"""Counts what is asked for and keeps what is given; `refused`: "video", which is not; `silent`: nothing is heard."""
ANSWERS_LATE = """
devices.answer = new Promise((done) => (devices.answered = done));
navigator.permissions.query = async () => ({ state: "prompt" });
delete MediaDevices.prototype.getDisplayMedia;
"""
CHOOSES_LATE = """
const shown = navigator.mediaDevices.getDisplayMedia.bind(navigator.mediaDevices);
window.screens = [];
navigator.mediaDevices.getDisplayMedia = async (wanted) => {
  const media = await shown(wanted);
  screens.push(...media.getTracks());
  await new Promise((done) => (screens.chosen = done));
  return media;
};
"""
REFUSES_AFTER_A_RELOAD = """
const reloaded = performance.getEntriesByType("navigation")[0].type === "reload";
devices.refused = reloaded ? "video" : "";
devices.silent = !reloaded;
"""
ALL_OFF = "() => devices.given.length === 2 && devices.given.every((one) => one.readyState === 'ended')"
VOICES = "devices.given.filter((one) => one.kind === 'audio' && one.readyState === 'live').map((one) => one.enabled)"
CAMERA_OFF = "document.getElementById('camera').click(), document.getElementById('self').hidden"
ASKS = "Your browser asks whether it may use your camera and microphone: please allow it."
CANNOT_SHARE = "This browser cannot share a screen; you can take part without."
REFUSED = "The browser was not allowed to use the camera. Allow it at the address bar, then try again."
AS_DELIVERED = "--autoplay-policy=document-user-activation-required"
"""No sound before a page was touched."""
HELD_BACK = "document.querySelectorAll('.tile .begin:not([hidden])').length"
PLAY = "Play picture and sound"


async def let_in(scene: Stage, person: PersonId) -> None:
    async with scene.wiring.database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=person)


async def held_back(page: CDPSession) -> bool:
    """Asked past the driver, each look of which counts as a touch of the page."""
    told = await page.send("Runtime.evaluate", {"expression": HELD_BACK})
    return bool(told["result"]["value"] == 2)


async def voice_is(page: Page, *, muted: bool) -> None:
    """The only microphone that is open, and the words of its button."""
    await expect(page.get_by_role("button", name="Unmute" if muted else "Mute", exact=True)).to_be_visible()
    assert await page.evaluate(VOICES) == [not muted]


async def test_a_participants_devices_are_what_the_page_says(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    mia = await scene.participant("Mia", ConsentKind.VIDEO, ConsentKind.AUDIO, ConsentKind.SCREEN)
    room = f"{scene.wiring.settings.origin}/rooms/{scene.session}"
    await scene.open("open_room")
    await let_in(scene, mia)
    async with serving(scene), chromium(FAKE_SCREEN) as browser:
        cookie = await scene.cookie(participant=mia)
        late = await window(browser, scene, cookie, width=360)
        for script in (DEVICES, ANSWERS_LATE):
            await late.page.add_init_script(script)
        await late.page.goto(room)
        await expect(late.page.locator("#asking")).to_have_text(ASKS)
        await expect(late.page.get_by_role("button", name="I am ready")).to_be_disabled()
        await expect(late.page.locator("#can-share")).to_contain_text(CANNOT_SHARE)
        await late.look("room-browser-asks")

        # muted, the camera off, and back after a reload: as it was, also with a device that fails at first
        one = await window(browser, scene, cookie, width=360)
        for script in (DEVICES, REFUSES_AFTER_A_RELOAD, CHOOSES_LATE):
            await one.page.add_init_script(script)
        await one.page.goto(room)
        await expect(one.page.locator("#can-share")).to_contain_text("You can share your screen here")
        await expect(one.page.locator("#asking")).to_be_hidden()
        await one.press("I am ready")
        await voice_is(one.page, muted=False)
        await expect(one.page.locator("#silence")).to_contain_text("We hear nothing from your microphone.")
        await one.look("room-silent-microphone")
        assert await one.page.evaluate(CAMERA_OFF), "at once, not with the room's next word"
        await one.press("Camera on")
        await expect(one.page.locator("#self")).to_be_visible()
        await one.press("Mute")
        await voice_is(one.page, muted=True)
        await expect(one.page.locator("#silence")).to_be_hidden()
        await one.page.reload()
        await expect(one.page.locator("#device-trouble")).to_contain_text(REFUSED)
        await one.page.evaluate("devices.refused = ''")
        await one.press("Try again")
        await expect(one.page.locator("#device-trouble")).to_be_hidden()
        await one.press("I am ready")
        await voice_is(one.page, muted=True)
        await one.press("Share my screen")
        await one.page.wait_for_function("() => screens.chosen")

        # they leave before a screen is chosen: it is not shared
        await one.press("Leave")
        await expect(one.page.get_by_role("heading", name="Thank you")).to_be_visible()
        await one.page.evaluate("screens.chosen()")
        await one.page.wait_for_function("() => screens.length && screens.every((one) => one.readyState === 'ended')")

        # the session ends while the browser still asks: what it gives then is off at once
        await scene.open("end")
        await expect(late.page.get_by_role("heading", name="Thank you")).to_be_visible()
        await late.page.evaluate("devices.answered()")
        await late.page.wait_for_function(ALL_OFF)
        await late.page.reload()
        await expect(late.page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert await late.page.evaluate("devices.asked") == 0
        assert late.faults + one.faults == []


async def test_a_members_devices_and_sound_that_the_browser_holds_back(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    mia = await scene.participant("Mia", ConsentKind.AUDIO)
    observer = await scene.member(Role.OBSERVER)
    room = f"{scene.wiring.settings.origin}/rooms/{scene.session}"
    await scene.open("open_room")
    flags = [AS_DELIVERED if flag.startswith("--autoplay-policy") else flag for flag in (*FLAGS, FAKE_SCREEN)]
    async with media(scene.wiring), serving(scene), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        ada = await window(browser, scene, await scene.cookie(member=scene.owner))
        await ada.page.add_init_script(DEVICES)
        await ada.page.goto(room)
        await expect(ada.page.get_by_text("Nobody is in the room yet.")).to_be_visible()
        title = await ada.page.title()
        guest = await window(browser, scene, await scene.cookie(participant=mia), width=360)
        await guest.page.goto(room)
        await expect(guest.page.locator("#check [data-choose=microphone]")).to_be_visible()
        await expect(guest.page.locator("[data-choose=camera]")).to_have_count(0)  # no word of what was not agreed to
        await guest.press("I am ready")
        await expect(ada.page.get_by_role("status").filter(has_text="Mia is waiting outside.")).to_be_visible()
        await expect(ada.page).to_have_title(f"(1) {title}")
        await ada.look("room-knocking")
        await ada.press("Let Mia in")
        await expect(ada.page.locator("#knocking")).to_be_hidden()
        await expect(ada.page).to_have_title(title)

        await ada.press("Join with camera and microphone")
        await voice_is(ada.page, muted=False)
        await ada.press("Mute")
        await ada.press("Switch my camera and microphone off")
        assert await ada.page.evaluate(VOICES) == []
        await ada.press("Join with camera and microphone")
        await voice_is(ada.page, muted=True)
        await ada.page.get_by_text("Camera and microphone", exact=True).click()
        await expect(ada.page.get_by_role("combobox", name="Camera")).to_have_count(0)  # there is but one
        await ada.page.get_by_role("combobox", name="Microphone").select_option(index=1)
        await ada.page.wait_for_function(f"() => devices.given.length === 5 && {VOICES}.length === 1")
        await voice_is(ada.page, muted=True)
        await ada.press("Camera off")
        await ada.page.evaluate("devices.refused = 'video'")
        await ada.press("Camera on")
        await expect(ada.page.locator("#trouble")).to_have_text(REFUSED)
        await expect(ada.page.get_by_role("button", name="Camera on")).to_be_visible()
        await ada.page.reload()
        await voice_is(ada.page, muted=True)
        await expect(ada.page.get_by_role("button", name="Camera on")).to_be_visible()
        await ada.press("Unmute")
        await ada.press("Camera on")
        await expect(ada.page.locator("#self")).to_be_visible()

        olga = await window(browser, scene, await scene.cookie(member=observer))
        untouched = await olga.context.new_cdp_session(olga.page)
        await olga.page.goto(room)
        await until(lambda: held_back(untouched), "buttons on both tiles")
        await untouched.send("Runtime.evaluate", {"expression": "document.querySelector('.tile .begin').focus()"})
        await olga.page.keyboard.press("Enter")
        await expect(olga.page.get_by_role("button", name=PLAY)).to_have_count(0)
        await expect(olga.page.get_by_text("Olga (you): observer")).to_be_visible()
        await expect(olga.page.locator("figure.voice-only", has_text="Mia")).to_be_visible()
        await olga.plays()
        await olga.look("room-voice-only")
        assert ada.faults + guest.faults + olga.faults == []
        await browser.close()
