"""A participant joins with Firefox: the other side sees them, they see the other side, and their recording plays.

Collected only when it is named, as `make trials` does; skipped where no Firefox is installed (Debian: firefox-esr), and
where Firefox cannot reach even itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import trial
from tests.journeys.browser import Window, chromium, until
from tests.journeys.quick import recording_room, served, stored
from tests.trials.firefox_browser import FIREFOX, firefox

PLAYS = "[...document.querySelectorAll('.tile video')].some((one) => one.videoWidth > 0 && one.currentTime > 0.3)"
WORDS = "document.querySelector('#recording [data-words]')?.textContent ?? ''"
LEAST_PICTURES, LEAST_SOUNDS = 40, 100
"""Of five seconds, on a machine too slow for all of them."""


@pytest.mark.skipif(not FIREFOX, reason="no Firefox is installed (Debian: apt install firefox-esr)")
async def test_a_participant_joins_with_firefox(data_dir: Path) -> None:
    async with firefox(data_dir / "firefox") as visitor:
        if not await visitor.reaches_itself():
            pytest.skip("Firefox connects not even two peers of one page on this machine")
        async with recording_room(data_dir) as (owner, guest), chromium() as browser:
            room = f"{owner.browser.origin}/rooms/{owner.session}"
            leading = await Window.open(browser)
            await leading.takes(owner.browser.http.cookies.jar, owner.browser.origin)
            await leading.page.goto(room)
            await leading.press("Join with camera and microphone")
            await visitor.take(guest.browser.http.cookies.jar)
            await visitor.goto(room)
            await visitor.press("I am ready")
            await visitor.comes(PLAYS)
            await leading.plays("camera")
            await visitor.comes(f"{WORDS}.startsWith('Recording')")
            await until(lambda: stored(owner), "five seconds in the store")
            await owner.lead("end")
            seen = await served(owner)
            trial.note("firefox", version=visitor.version, **seen)
            assert seen["video"] > LEAST_PICTURES
            assert seen["audio"] > LEAST_SOUNDS
            await leading.page.goto(f"{owner.browser.origin}/sessions/{owner.session}/review")
            await leading.page.wait_for_function("() => document.querySelector('video')?.readyState >= 2")
            await leading.press("Play")
            await leading.page.wait_for_function("() => document.querySelector('video').currentTime > 2")
            assert leading.faults == []
