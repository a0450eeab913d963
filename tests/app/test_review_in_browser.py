"""The review in a real Chromium: words that jump, the spoken word marked, gaps over the picture, keys, two hours of
transcript that stay light."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from recordings.model import StreamKind, TrackKind
from tests.app.test_pages_in_browser import chromium, served, sign_in, until, wiring
from tests.app.test_participant_pages_in_browser import MemberLook
from tests.fixtures.stored import WORDS, stored_recording
from tests.fixtures.web import Cast

pytestmark = pytest.mark.browser
__all__ = ["chromium", "served", "wiring"]  # fixtures used here

MS = "document.getElementById('seek').valueAsNumber"
READY = "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)"
SPOKEN = "document.querySelector('#cues .spoken')?.textContent ?? ''"


@asynccontextmanager
async def reviewing(cast: Cast, served: str, chromium: Browser) -> AsyncIterator[Page]:
    context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await sign_in(page, cast, served)
    await page.goto(f"{served}/sessions/{cast.session}/review")
    yield page
    await context.close()


@pytest.fixture
async def dialogue(cast: Cast, tmp_path: Path) -> None:
    """Anna with camera, screen and a pause; Rita the researcher with her camera, whose voice is lost for a second; both
    transcribed."""
    anna = cast.participant.participant
    await stored_recording(cast, tmp_path, person=anna, paused_s=2.0, transcript=True)
    await stored_recording(cast, tmp_path, person=anna, stream=StreamKind.SCREEN)
    await stored_recording(cast, tmp_path, person=cast.researcher, lost={TrackKind.VOICE: (1.0, 2.0)}, transcript=True)


@pytest.mark.usefixtures("dialogue")
async def test_it_is_readable_for_everyone_while_it_plays(cast: Cast, served: str, chromium: Browser) -> None:
    async with reviewing(cast, served, chromium) as page:
        look = MemberLook(page)
        await look.at("review")
        await until(page, READY)
        await page.get_by_text("Keys", exact=True).click()
        await page.evaluate("document.getElementById('seek').value = 1250")
        await page.locator("#seek").dispatch_event("input")
        await expect(page.locator("figure.camera .over", has_text="the recording was paused")).to_have_count(0)
        await look.at("review-word")
        await page.evaluate("document.getElementById('seek').value = 2000")
        await page.locator("#seek").dispatch_event("input")
        await look.at("review-gap")
        await page.get_by_role("link", name="Correct the transcript of").first.click()
        await page.get_by_role("link", name="Correct the line at").first.click()
        await page.get_by_label("What is said here").fill("Hello, I am looking for a ramp.")
        await page.get_by_role("button", name="Save the correction").click()
        await page.get_by_role("link", name="Correct the line at").last.click()
        await look.at("correcting")
        assert look.wrong == {}


@pytest.mark.usefixtures("dialogue")
async def test_a_word_jumps_to_its_moment_and_is_marked_while_it_is_said(
    cast: Cast, served: str, chromium: Browser
) -> None:
    async with reviewing(cast, served, chromium) as page:
        await until(page, READY)
        await page.locator("#cues li", has_text="Anna").get_by_text("confuse", exact=True).click()
        await until(page, f"{MS} > 1600")
        assert "confuse" in await page.locator("#cues [aria-current]").inner_text()
        in_step = "(times => Math.min(...times) > 1.5 && Math.max(...times) - Math.min(...times) < 0.5)"
        await until(page, f"{in_step}([...document.querySelectorAll('video')].map(v => v.currentTime))")
        await until(page, "document.getElementById('play').textContent === 'Play'")  # it ends by itself
        await page.locator("#cues li").first.get_by_text("looking", exact=True).click()
        await page.keyboard.press("Space")
        await until(page, f"{SPOKEN} !== ''")


@pytest.mark.usefixtures("dialogue")
async def test_a_gap_has_words_over_the_picture_and_its_place_in_the_transcript(
    cast: Cast, served: str, chromium: Browser
) -> None:
    async with reviewing(cast, served, chromium) as page:
        await until(page, READY)
        gap = page.locator("#cues li.gap", has_text="Anna")
        await expect(gap).to_contain_text("Anna: gap of 2 s: the recording was paused")
        place = float(await gap.get_attribute("data-start") or 0)
        over = page.locator("figure.camera").first.locator(".over")
        await expect(over).to_be_hidden()
        await page.evaluate(f"document.getElementById('seek').value = {place + 500}")
        await page.locator("#seek").dispatch_event("input")
        await expect(over).to_have_text("Gap 0:01 – 0:03: the recording was paused")
        titles = page.locator(".lifelines .gap-part title")
        assert "the recording was paused" in (await titles.first.text_content() or "")

        await expect(page.locator("#cues li.gap", has_text="Rita")).to_contain_text(
            "Rita: voice missing for 1 s: lost on the network"
        )
        await page.evaluate("document.getElementById('seek').value = 1200")
        await page.locator("#seek").dispatch_event("input")
        rita = page.locator("figure", has=page.get_by_label("Rita, camera", exact=True))
        await expect(rita.locator(".over")).to_have_text("Voice missing 0:01 – 0:02: lost on the network")
        picture, told = await rita.locator("video").bounding_box(), await rita.locator(".over").bounding_box()
        assert picture and told and told["height"] < picture["height"] * 0.7, "the picture goes on and can be seen"
        lines = [await line.inner_text() for line in await page.locator(".lifelines .line > .quiet").all()]
        assert lines == ["Anna, camera", "Anna, screen", "Rita, camera", "Rita, voice"]


@pytest.mark.usefixtures("dialogue")
async def test_everything_can_be_done_by_keys(cast: Cast, served: str, chromium: Browser) -> None:
    async with reviewing(cast, served, chromium) as page:
        await until(page, READY)
        assert await page.evaluate("document.querySelectorAll('#cues [tabindex=\"0\"]').length") == 1
        await page.locator("h1").click()
        await page.keyboard.press("ArrowRight")
        assert await page.evaluate(MS) >= 4900
        await page.keyboard.press("ArrowLeft")
        assert await page.evaluate(MS) == 0
        await page.keyboard.press("]")
        await expect(page.locator("#speed")).to_have_value("1.25")
        await page.keyboard.press("Space")
        await until(page, f"{MS} > 300")
        assert await page.evaluate("document.querySelector('video').playbackRate") > 1.1
        await page.keyboard.press("Space")
        await page.locator("#cues button").first.focus()
        for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
            await page.keyboard.press(key)
        second = page.locator(":focus")
        assert await second.get_attribute("role") == "button"
        word, at = await second.inner_text(), float(await second.get_attribute("data-at") or -1)
        await page.keyboard.press("Enter")
        await until(page, f"{MS} >= {at}")
        assert word == WORDS[0].split()[1]
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowLeft")
        assert await page.locator(":focus").evaluate("e => e.localName") == "button"
        await page.keyboard.press("End")
        assert await page.evaluate("document.querySelectorAll('#cues [tabindex=\"0\"]').length") == 1


@pytest.mark.usefixtures("dialogue")
async def test_any_picture_can_be_the_large_one(cast: Cast, served: str, chromium: Browser) -> None:
    async with reviewing(cast, served, chromium) as page:
        assert "screen" in (await page.locator("figure.large").get_attribute("class") or "")
        await page.get_by_role("button", name="Large: Rita, camera").click()
        await expect(page.locator("figure.large")).to_have_count(1)
        await expect(page.locator("figure.large")).to_contain_text("Rita")
        await expect(page.get_by_role("button", name="Large: Rita, camera")).to_have_attribute("aria-pressed", "true")


HOURS_MS = 2 * 3600 * 1000
LINES = 1500


async def test_two_hours_of_words_stay_light(
    cast: Cast, served: str, chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """15 000 words: the page is small enough to send and is laid out without being felt."""
    step = HOURS_MS // LINES
    long = [(step * n, f"line {n} has ten words that somebody said without stopping") for n in range(LINES)]
    monkeypatch.setattr("tests.fixtures.stored.WORDS", [words for _, words in long])
    await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    async with reviewing(cast, served, chromium) as page:
        timing = await page.evaluate(
            "(() => { const t = performance.getEntriesByType('navigation')[0];"
            " return [t.decodedBodySize, t.domContentLoadedEventEnd - t.responseEnd, t.responseStart]; })()"
        )
        assert await page.locator("#cues [data-at]").count() == 10 * LINES
        assert timing[0] < 900_000, timing
        print("bytes, ms to interactive, ms to first byte:", timing)
        await page.locator("#cues button").nth(LINES - 1).focus()
        assert await page.evaluate("document.getElementById('cues').scrollTop") > 10_000
        frames = await page.evaluate(
            "new Promise(done => { const box = document.getElementById('cues'); let n = 0, from = performance.now();"
            " const step = () => { box.scrollTop = (n * 997) % box.scrollHeight;"
            " ++n < 60 ? requestAnimationFrame(step) : done((performance.now() - from) / 60); };"
            " requestAnimationFrame(step); })"
        )
        print("ms per scrolled frame:", frames)
