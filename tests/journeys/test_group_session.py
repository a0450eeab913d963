"""Two participants, a researcher and an observer in one group session, each in a real browser: who is told what before
agreeing, who sees and hears whom, who is only counted, and that each is recorded alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from app.accounts.models import Role
from app.database import Database
from app.sessions.models import Recording, Track
from recordings.model import PersonId
from recordings.storage.layout import person_prefix
from tests.app.room_stage import Stage, media, serving, stage
from tests.journeys.browser import FAKE_SCREEN, PATIENCE_MS, Window, chromium, until
from tests.journeys.rows import all_of, window

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

TOLD = "This is a group session: the other participants see and hear you, and you see and hear them."
MOVES = "(player) => player.videoWidth > 0 && player.currentTime > 0.3"
HEARS = """() => Promise.all([...document.querySelectorAll('.tile video')].map(async (player) => {
  const tracks = player.srcObject?.getTracks() ?? [];
  return tracks.filter((one) => one.readyState === 'live' && !one.muted).map((one) => one.kind).sort().join();
}))"""


async def agrees(guest: Window, scene: Stage, *kinds: str) -> None:
    """Reads what a group means, switches on, and stands ready in the waiting room."""
    await guest.page.goto(f"{scene.wiring.settings.origin}/take-part/{scene.session}")
    await expect(guest.page.get_by_text(TOLD)).to_be_visible()
    for kind in kinds:
        await guest.page.get_by_role("switch", name=kind).check()
    await guest.press("Go to the room")
    await guest.press("I am ready")
    await expect(guest.page.get_by_role("heading", name="Waiting room")).to_be_visible()


async def sees_and_hears(one: Window, *names: str) -> None:
    """A moving picture and a live voice of each of these, and of nobody else."""
    for name in names:
        tile = one.page.locator("figure.tile", has=one.page.get_by_text(name, exact=True))
        await expect(tile).to_have_count(1, timeout=PATIENCE_MS)
        await until(lambda tile=tile: tile.locator("video").evaluate(MOVES), f"a moving picture of {name}")
    await expect(one.page.locator("figure.tile")).to_have_count(len(names))
    await until(lambda: _hears(one, len(names)), "voices")


async def _hears(one: Window, count: int) -> bool:
    return list(await one.page.evaluate(HEARS)) == ["audio,video"] * count


async def test_everyone_sees_everyone_and_each_is_recorded_alone(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path, group=True)
    anna, ben = await scene.participant("Anna"), await scene.participant("Ben")
    observer = await scene.member(Role.OBSERVER)
    room = f"{scene.wiring.settings.origin}/rooms/{scene.session}"
    async with media(scene.wiring), serving(scene), chromium(FAKE_SCREEN) as browser:
        ada = await window(browser, scene, await scene.cookie(member=scene.owner))
        olga = await window(browser, scene, await scene.cookie(member=observer))
        first = await window(browser, scene, await scene.cookie(participant=anna), width=360)
        second = await window(browser, scene, await scene.cookie(participant=ben))
        await ada.page.goto(room)
        await ada.press("Open the room")
        await agrees(first, scene, "Video", "Audio")
        await agrees(second, scene, "Video", "Audio")
        await ada.press("Let Anna in")
        await expect(first.page.get_by_text("You are connected. Nobody else shows a picture yet.")).to_be_visible()
        await expect(first.page.locator("figure.tile")).to_have_count(0)  # Ben still waits: neither sees the other
        await ada.press("Let Ben in")
        await ada.press("Join with camera and microphone")

        await sees_and_hears(first, "Ben", "Ada")
        await sees_and_hears(second, "Anna", "Ada")
        await sees_and_hears(ada, "Anna", "Ben")

        await olga.page.goto(room)
        await sees_and_hears(olga, "Anna", "Ben", "Ada")
        await expect(olga.page.get_by_text("You are observing.")).to_be_visible()
        for guest in (first, second):
            await expect(guest.page.get_by_text("One person of the research team is watching.")).to_be_visible()
            await expect(guest.page.get_by_text("Olga")).to_have_count(0)
        await expect(ada.page.get_by_text("Observers watching: 1")).to_be_visible()

        await ada.press("Start recording")
        for guest in (first, second):
            await guest.recording_says("Recording: video and voice")
        await first.look("group-participant")
        await ada.look("group-researcher")
        await olga.look("group-observer")

        # one pauses, the other goes on
        await first.press("Pause my recording")
        await first.recording_says("You paused your recording")
        await until(lambda: goes_on_alone(scene, ben, without=anna), "Ben alone")
        await second.recording_says("Recording: video and voice")
        await first.press("Resume my recording")
        await first.recording_says("Recording: video and voice")

        await olga.context.close()
        for guest in (first, second):
            await expect(guest.page.locator("#observers")).to_be_hidden()
        await ada.page.get_by_text("End the session").click()
        await ada.press("End for everyone")
        for guest in (first, second):
            await expect(guest.page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert ada.faults + olga.faults + first.faults + second.faults == []
    recordings = {row.id: row.person_id for row in await all_of(scene, Recording)}
    assert sorted(one for one in recordings.values() if one != scene.owner) == sorted([anna, ben])
    assert observer not in recordings.values()
    for person in (anna, ben):
        kinds = [track.kind for track in await all_of(scene, Track) if recordings[track.recording_id] == person]
        assert sorted(kinds) == ["camera", "voice"], "one camera and one voice each"


async def goes_on_alone(scene: Stage, person: PersonId, *, without: PersonId) -> bool:
    """Nothing more of somebody is stored while of another two more pieces of each track are."""
    before, more = pieces(scene, without), len(pieces(scene, person)) + 4
    await until(lambda: grown(scene, person, more), "more of whoever goes on")
    return bool(before) and pieces(scene, without) == before


async def grown(scene: Stage, person: PersonId, count: int) -> bool:
    return len(pieces(scene, person)) >= count


def pieces(scene: Stage, person: PersonId) -> list[str]:
    stored = scene.wiring.store.list(person_prefix(scene.account, scene.session, person))
    return sorted(one.key for one in stored if "/s/" in one.key)
