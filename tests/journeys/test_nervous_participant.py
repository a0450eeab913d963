"""Somebody who is not sure: no video, a pause, the voice taken back in the middle, a reload, and away. Each step
takes effect at once, and nothing that was refused or taken back is left. A mail scanner opened every link before."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from app.demo.people import LINK
from tests.journeys.browser import FAKE_SCREEN, LONG_SECONDS, PATIENCE_MS, chromium, until
from tests.journeys.people import OWNER, Guest, Owner, Platform, platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

OFFER_EVERYTHING = """async (session) => {
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const media = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  for (const track of media.getTracks()) peer.addTransceiver(track, { direction: "sendonly" });
  await peer.setLocalDescription();
  const answer = await fetch(`/whip?session=${session}&stream=camera`, {
    method: "POST", headers: { "content-type": "application/sdp" }, body: peer.localDescription.sdp,
  });
  media.getTracks().forEach((track) => track.stop());
  peer.close();
  return { status: answer.status, ...(await answer.json()) };
}"""


async def test_each_second_thought_takes_effect_at_once(data_dir: Path) -> None:
    async with platform(data_dir) as at, chromium(FAKE_SCREEN) as browser:
        ada, mia = await Owner.open(browser), await Guest.open(browser, width=360)
        await ada.ask_to_sign_in(at)
        await at.link(OWNER, "/sign-in/")
        await scanned(at)
        await ada.use_link(at)
        await ada.prepare(at)
        await ada.invite(mia.name, mia.address)
        await at.link(mia.address, "/i/")
        await scanned(at)
        await ada.page.reload()
        await expect(ada.page.get_by_role("row", name=mia.name)).to_contain_text("invited")
        await mia.register(at)
        await mia.consent(at, ("Audio", "Screen"))

        await comes_in_without_a_camera(at, ada, mia)
        await pauses_and_goes_on(ada, mia)
        await takes_the_voice_back(ada, mia)
        await reloads(ada, mia)
        await scanned(at)
        await leaves(ada, mia)
        await what_is_left(ada, mia)
        assert ada.faults + mia.faults == []


async def scanned(at: Platform) -> None:
    """Every link of every mail is opened by a program without cookies, twice and in both harmless ways."""
    links: set[str] = set()
    for mail in (await at.outbox.browser.open("/outbox")).links:
        if re.fullmatch(r"/outbox/[0-9a-f-]{36}", mail):
            links |= set(LINK.findall((await at.outbox.browser.open(mail)).words))
    assert links
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=60) as scanner:
        for link in sorted(one.rstrip(">,.") for one in links):
            for method in ("HEAD", "GET", "GET"):
                answer = await scanner.request(method, link)
                assert answer.status_code in (200, 405), link
                assert not answer.cookies


async def comes_in_without_a_camera(at: Platform, ada: Owner, mia: Guest) -> None:
    await expect(mia.page.locator("#preview")).to_be_hidden()
    await mia.look("room-check-voice")
    await ada.enter(at)
    await ada.press("Open the room")
    await mia.press("I am ready")
    await ada.press(f"Let {mia.name} in")
    await ada.press("Start recording")
    await mia.recording_says("Recording: voice")
    refused = await mia.page.evaluate(OFFER_EVERYTHING, ada.session)
    assert refused["status"] == 403
    assert "no consent to this kind: camera" in refused["detail"]
    await mia.recording_says("Recording: voice")
    await mia.press("Share my screen")
    await ada.recording_says("Recording: voice, screen and sound of the screen")
    await ada.plays("screen")
    await mia.look("room-voice-and-screen")


async def pauses_and_goes_on(ada: Owner, mia: Guest) -> None:
    await mia.press("Pause my recording")
    await mia.recording_says("You paused your recording")
    await expect(ada.page.get_by_text(f"{mia.name}: paused their own recording")).to_be_visible()
    await ada.recording_says("Recording is on, but nothing arrives at the moment.")
    await mia.look("room-paused")
    await mia.press("Resume my recording")
    await mia.recording_says("Recording: voice, screen and sound of the screen")


async def takes_the_voice_back(ada: Owner, mia: Guest) -> None:
    """Only the voice: the screen goes on in the same publication."""
    await mia.page.get_by_text("Withdraw a consent").click()
    await mia.press("Withdraw: your voice")
    await mia.recording_says("Recording: screen and sound of the screen")
    await ada.recording_says("Recording: screen and sound of the screen")
    await expect(mia.page.get_by_role("button", name="Stop sharing my screen")).to_be_visible()
    await expect(mia.page.get_by_role("button", name="Mute")).to_be_hidden()
    await ada.plays("screen")
    await mia.look("room-voice-withdrawn")


async def reloads(ada: Owner, mia: Guest) -> None:
    """Comes back by itself; a browser shares no screen again without being asked, so the page says how."""
    await mia.page.reload()
    await expect(mia.page.get_by_text("Your screen is not shared any more")).to_be_visible()
    await expect(mia.page.locator("#check")).to_be_hidden()
    await mia.recording_says("Recording is on; nothing of you is recorded now.")
    await mia.look("room-reloaded")
    await mia.press("Share my screen")
    await mia.recording_says("Recording: screen and sound of the screen")
    await ada.plays("screen")


async def leaves(ada: Owner, mia: Guest) -> None:
    await mia.press("Leave")
    await expect(mia.page.get_by_role("heading", name="Thank you")).to_be_visible()
    await mia.recording_says("You have left. Nothing of you is recorded.")
    await mia.look("room-left")
    await expect(ada.page.get_by_text(f"{mia.name}: not here")).to_be_visible(timeout=PATIENCE_MS)
    await ada.recording_says("Recording is on, but nothing arrives at the moment.")
    await ada.look("room-nobody-here")


async def what_is_left(ada: Owner, mia: Guest) -> None:
    """The screen, in its two publications; of the voice nothing."""
    await ada.end_session()
    await ada.page.get_by_role("link", name="Go to its recordings").click()
    await ada.page.get_by_role("link", name="Review", exact=True).click(timeout=LONG_SECONDS * 1000)
    await until(lambda: only_the_screen(ada), "the voice to be erased")
    await ada.look("review-screen-only")
    link = await ada.page.locator("video").get_attribute("src")
    await ada.page.get_by_role("link", name="Pilot 1").click()
    assert (await ada.context.request.get(f"{ada.page.url.partition('/sessions')[0]}{link}")).status == 200
    await expect(ada.page.get_by_role("row", name=f"{mia.name}, voice")).to_contain_text("Erased")
    await ada.picture("session-voice-erased")


async def only_the_screen(ada: Owner) -> bool:
    await ada.page.reload()
    return await ada.page.locator("figure").count() == 1 and await ada.page.locator("figure.screen video").count() == 1
