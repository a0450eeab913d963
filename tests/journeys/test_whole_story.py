"""The main job as people see it: invited by mail, recorded with real speech and a shared tab, reviewed, transcribed,
and erased by the participant's own hand. Everything runs as `junier serve` runs it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import pytest
from playwright.async_api import Page, expect

from app.demo.frame_counter import read
from tests.journeys.browser import LONG_SECONDS, chromium, until
from tests.journeys.people import Guest, Owner, Platform, platform
from tests.journeys.speech import Speech, real_speech

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

SHARED_TAB = Path(__file__).parent / "material" / "shared_tab.html"
TAB_TITLE = "Junier shared tab"
TAB_SIZE = {"width": 1280, "height": 720}
TAB_CLIP = 11
GREEN = (9, 200, 29)
COLOUR_ERROR = 24  # of 255, after VP8 and two colour conversions
LEAST_WORDS_HEARD = 0.9

PIXEL = """() => {
  const video = document.querySelector('.tile[data-stream="screen"] video');
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, video.videoWidth / 2, video.videoHeight / 3, 1, 1, 0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


async def test_from_the_invitation_to_the_certificate(data_dir: Path, tmp_path: Path) -> None:
    speech = real_speech(tmp_path)
    flags = (
        f"--use-file-for-fake-audio-capture={speech.wav}",
        f"--auto-select-tab-capture-source-by-title={TAB_TITLE}",
    )
    async with platform(data_dir) as at, chromium(*flags) as browser:
        ada, mia = await Owner.open(browser), await Guest.open(browser, width=360)
        await invited(at, ada, mia)
        await recorded(at, ada, mia, speech)
        media = await reviewed(at, ada, speech)
        await erased(at, mia)
        await gone(at, ada, media)
        assert ada.faults + mia.faults == []


async def invited(at: Platform, ada: Owner, mia: Guest) -> None:
    await ada.sign_in(at)
    await ada.prepare(at)
    await ada.picture("session-empty")
    await ada.invite(mia.name, mia.address)
    await ada.picture("session-invited")
    await mia.register(at)
    await mia.consent(at, ("Video", "Audio", "Screen", "Transcript"))


async def recorded(at: Platform, ada: Owner, mia: Guest, speech: Speech) -> None:
    await mia.look("room-check")
    await ada.enter(at)
    await ada.look("room-scheduled")
    await ada.press("Open the room")
    await mia.press("I am ready")
    await expect(mia.page.get_by_role("heading", name="Waiting room")).to_be_visible()
    await mia.look("room-waiting")
    await ada.look("room-someone-waits")
    await ada.press(f"Let {mia.name} in")
    await ada.press("Start recording")
    await mia.recording_says("Recording: video and voice")
    await mia.look("room-inside")  # now: a tab that changes its size while it is shared comes upside down
    tab = await mia.context.new_page()
    await tab.set_viewport_size(TAB_SIZE)
    await tab.goto(SHARED_TAB.as_uri())
    await mia.press("Share my screen")
    await ada.recording_says("Recording: video, voice, screen and sound of the screen")
    await mia.recording_says("Recording: video, voice, screen and sound of the screen")
    await ada.plays("camera")
    await ada.plays("screen")
    await until(lambda: shows(ada.page, GREEN), "the colour of the shared tab")
    await ada.look("room-recording")
    await until(lambda: recorded_for(ada.page, 2 * speech.seconds), "two rounds of the speech")
    await ada.end_session()
    await expect(mia.page.get_by_role("heading", name="Thank you")).to_be_visible()
    await mia.look("room-thanks")
    await ada.look("room-ended")


async def shows(page: Page, colour: tuple[int, ...]) -> bool:
    return near(await page.evaluate(PIXEL), colour)


async def recorded_for(page: Page, seconds: float) -> bool:
    shown = await page.locator("#recording [data-time]").inner_text()
    hours, minutes, rest = (int(part) for part in (shown or "0:00:00").split(":"))
    return hours * 3600 + minutes * 60 + rest > seconds


async def reviewed(at: Platform, ada: Owner, speech: Speech) -> list[str]:
    """Returns the addresses of the media that were played."""
    await ada.page.get_by_role("link", name="Go to its recordings").click()
    await ada.picture("session-finishing")
    await ada.page.get_by_role("link", name="Review", exact=True).click(timeout=LONG_SECONDS * 1000)
    await until(lambda: written(ada.page, videos=2), "the transcript beside the player of camera and screen")
    await ada.picture("review")
    await plays_and_seeks(ada.page)
    said = " ".join(await ada.page.locator("#cues .said").all_inner_texts())
    assert speech.heard_in(said) >= LEAST_WORDS_HEARD, said
    media: list[str] = await ada.page.evaluate("[...document.querySelectorAll('video')].map(v => v.src)")
    assert len(media) == 2
    served = [await (await ada.context.request.get(link)).body() for link in media]
    tabs = [one for one in map(pictures, served) if one.numbers]
    assert len(tabs) == 1, "exactly one of the recordings shows the tab"
    assert near(tabs[0].colour, GREEN)
    assert len(set(tabs[0].numbers)) > 100  # at most ten are drawn in a second
    assert all(earlier <= later for earlier, later in pairwise(tabs[0].numbers))
    await ada.page.get_by_role("link", name="Pilot 1").click()
    await ada.picture("session-stored")
    return media


async def written(page: Page, *, videos: int = 1) -> bool:
    """A person waits for the transcript, and for what is not playable yet, by coming back to the page."""
    if await page.locator("#cues li").count() and await page.locator("video").count() >= videos:
        return True
    await page.reload()
    return False


async def plays_and_seeks(page: Page) -> None:
    ready = "() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2)"
    await page.wait_for_function(ready)
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.wait_for_function("() => [...document.querySelectorAll('video')].some(v => v.currentTime > 0.5)")
    middle = int(await page.locator("#review").get_attribute("data-duration") or 0) // 2 // 100 * 100
    await page.locator("#seek").fill(str(middle))
    arrived = f"() => [...document.querySelectorAll('video')].every(v => v.currentTime * 1000 > {middle} / 2)"
    await page.wait_for_function(arrived)
    await page.wait_for_function("() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    await page.get_by_role("button", name="Pause", exact=True).click()


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a recording shows. numbers: of the shared tab's frames, none for another picture."""

    numbers: tuple[int, ...]
    colour: tuple[int, ...]


def pictures(media: bytes) -> Pictures:
    numbers, colour = [], (0, 0, 0)
    with av.open(io.BytesIO(media), "r") as container:
        for frame in container.decode(video=0):
            number = read(frame.to_ndarray(format="gray"))
            if number and number.clip == TAB_CLIP:
                numbers.append(number.frame)
                colour = tuple(int(c) for c in frame.to_ndarray(format="rgb24")[frame.height // 3, frame.width // 2])
    return Pictures(numbers=tuple(numbers), colour=colour)


def near(one: tuple[int, ...] | list[int], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= COLOUR_ERROR for a, b in zip(one, other, strict=True))


async def erased(at: Platform, mia: Guest) -> None:
    """By the participant, with a code mailed to the address; the receipt becomes the certificate."""
    await mia.page.get_by_role("link", name="See what is kept about you").click()
    await mia.picture("my-data-ask")
    await mia.press("Send me a code")
    await mia.picture("my-data-code")
    await mia.page.get_by_label("The six digits").fill(await at.code(mia.address))
    await mia.press("Show my data")
    await mia.picture("my-data")
    await mia.press("Erase everything about me")
    await mia.page.wait_for_url(f"{at.origin}/my-data/erase*")
    await mia.picture("erase-me")
    await mia.press("Erase everything about me")
    await mia.page.wait_for_url(f"{at.origin}/receipt/*")
    await until(lambda: certified(mia.page), "the certificate")
    await mia.picture("receipt")


async def certified(page: Page) -> bool:
    if await page.get_by_role("heading", name="Erased and verified").is_visible():
        return True
    await page.reload()
    return False


async def gone(at: Platform, ada: Owner, media: list[str]) -> None:
    """The same addresses answer as if nothing had ever been there; the owner has the certificate too."""
    for link in media:
        assert (await ada.context.request.get(link)).status == 404
        transcript = link.removesuffix("/media") + "/transcript/vtt"
        assert (await ada.context.request.get(transcript)).status == 404
    await ada.page.goto(f"{at.origin}/sessions/{ada.session}/review")
    assert await ada.page.locator("video, #cues").count() == 0
    await ada.picture("review-erased")
    await ada.page.goto(f"{at.origin}/erasures")
    await ada.picture("erasures")
    await ada.page.get_by_role("table").get_by_role("link").first.click()
    await expect(ada.page.get_by_role("heading", name="Erased and verified")).to_be_visible()
    await ada.picture("certificate")
