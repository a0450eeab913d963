"""A conversation: the researcher and the participant take turns to speak, both have themselves recorded, and the
transcript reads as a dialogue with both names. Real speech, two browsers, as `junier serve` runs it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.journeys.browser import LONG_SECONDS, chromium, until
from tests.journeys.people import Guest, Owner, platform
from tests.journeys.speech import SPOKEN, Speech, real_speech
from tests.journeys.test_whole_story import recorded_for, written

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

OWNER_NAME = "Ada Owner"
LEAST_WORDS_HEARD = 0.8  # of one voice that is cut where the recording begins and ends


def microphone(speech: Speech) -> str:
    return f"--use-file-for-fake-audio-capture={speech.wav}"


async def test_both_sides_are_recorded_and_the_transcript_is_a_dialogue(data_dir: Path, tmp_path: Path) -> None:
    adas, mias = (real_speech(tmp_path, [name]) for name in SPOKEN)
    async with (
        platform(data_dir) as at,
        chromium(microphone(adas)) as one,
        chromium(microphone(mias)) as other,
    ):
        ada, mia = await Owner.open(one), await Guest.open(other, width=360)
        await ada.sign_in(at)
        await ada.prepare(at)
        await ada.invite(mia.name, mia.address)
        await mia.register(at)
        await mia.consent(at, ("Video", "Audio", "Transcript"))
        await ada.enter(at)
        await ada.press("Open the room")
        await mia.press("I am ready")
        await ada.press(f"Let {mia.name} in")
        await ada.press("Join with camera and microphone")
        await ada.press("Start recording")
        await mia.recording_says("Recording: video and voice")
        await mia.plays("camera")
        await asked(ada, mia)
        await until(lambda: recorded_for(ada.page, 2 * adas.seconds + 5), "two rounds of the conversation")
        await ada.end_session()
        await read(ada, mia, adas, mias)
        assert ada.faults + mia.faults == []


async def asked(ada: Owner, mia: Guest) -> None:
    """Nothing of the researcher is recorded before she says so; then everybody in the room is told."""
    own = ada.page.locator("#people li", has_text=OWNER_NAME)
    switch = ada.page.get_by_role("switch", name="Record me too, so that the transcript has both sides")
    await expect(switch).not_to_be_checked()
    await expect(own).to_contain_text("owner, not recorded")
    await expect(mia.page.locator("#others-recorded")).to_be_hidden()
    await ada.look("room-member-not-recorded")
    await switch.check()
    await expect(own).to_contain_text("owner, recording video, voice")
    await expect(mia.page.locator("#others-recorded")).to_have_text(f"Also being recorded: {OWNER_NAME}")
    await ada.look("room-member-recorded")
    await mia.look("room-researcher-recorded")


async def read(ada: Owner, mia: Guest, adas: Speech, mias: Speech) -> None:
    await ada.page.get_by_role("link", name="Go to its recordings").click()
    await ada.page.get_by_role("link", name="Review", exact=True).click(timeout=LONG_SECONDS * 1000)

    async def lines() -> list[tuple[str, str]] | None:
        """Once both voices are written down. A person waits by coming back to the page."""
        await until(lambda: written(ada.page), "the transcript beside the player")
        cues = ada.page.locator("#cues li:has(.said)")
        names = await cues.locator("b").all_inner_texts()
        if set(names) == {OWNER_NAME, mia.name}:
            return list(zip(names, await cues.locator(".said").all_inner_texts(), strict=True))
        await ada.page.reload()
        return None

    dialogue = await until(lines, "the words of both")
    turns = [name for name, _ in groupby(dialogue, key=lambda line: line[0])]
    assert len(turns) >= 4, turns  # each has spoken more than once, one after the other
    for name, speech in ((OWNER_NAME, adas), (mia.name, mias)):
        said = " ".join(text for speaker, text in dialogue if speaker == name)
        assert speech.heard_in(said) >= LEAST_WORDS_HEARD, (name, said)
    await ada.look("review-dialogue")
