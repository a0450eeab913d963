"""A participant whose network goes away and comes back, and a web process that starts anew: the page says so, comes
back by itself, and the same recording goes on with a gap that is shown as one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import expect

from app.database import Database
from app.invitations.service import admit
from app.room.node_client import NodeClient
from app.sessions.models import Recording, Take
from app.studies.models import ConsentKind
from tests.app.room_stage import Stage, media, serving, stage
from tests.journeys.browser import FAKE_SCREEN, Window, chromium, until
from tests.journeys.network import Network, network
from tests.journeys.rows import all_of, stored_up_to, window
from workers.finalise import finalise

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LOST = "The connection was lost. Trying again by itself; you need not do anything."
RETURN_MS = 60_000
"""Within this a page is back, however long its network was away: waits between tries are bounded."""


async def ready(database: Database, folder: Path) -> tuple[Stage, str, str]:
    """A session that records, with one participant let in; the cookies of researcher and participant."""
    scene = await stage(database, folder)
    mia = await scene.participant("Mia", ConsentKind.VIDEO, ConsentKind.AUDIO)
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=mia)
    return scene, await scene.cookie(member=scene.owner), await scene.cookie(participant=mia)


async def enters(one: Window, scene: Stage) -> None:
    await one.page.goto(f"{scene.wiring.settings.origin}/rooms/{scene.session}")


async def recorded_again(one: Window) -> None:
    words = one.page.locator("#recording [data-words]")
    await expect(words).to_have_text("Recording: video and voice", timeout=RETURN_MS)


async def test_a_lost_network_is_said_and_comes_back_into_the_same_recording(
    database: Database, tmp_path: Path
) -> None:
    scene, ada_cookie, mia_cookie = await ready(database, tmp_path)
    port = int(scene.wiring.settings.public_url.rpartition(":")[2])
    async with media(scene.wiring), serving(scene), network(port) as lost, AsyncExitStack() as stack:
        elsewhere = f"--host-resolver-rules=MAP localhost:{port} 127.0.0.1:{lost.port}"
        ada = await window(await stack.enter_async_context(chromium(FAKE_SCREEN)), scene, ada_cookie)
        far = await stack.enter_async_context(chromium(FAKE_SCREEN, elsewhere))
        mia = await window(far, scene, mia_cookie, width=360)
        await lost.between(mia.context)
        await enters(ada, scene)
        await enters(mia, scene)
        await mia.press("I am ready")
        await recorded_again(mia)
        await ada.plays()
        await stored_up_to(scene)

        takes, before = len(await all_of(scene, Take)), await kept(scene)
        lost.move("127.0.0.2")
        await until(lambda: goes_on(scene, before), "pictures and sound from another address")
        await until(lambda: is_answered(lost), "what is asked of the sender goes there")
        assert len(await all_of(scene, Take)) == takes, "nobody had to publish again"

        lost.up.clear()
        await expect(mia.page.get_by_text(LOST)).to_be_visible(timeout=RETURN_MS)
        await mia.recording_says(
            "Not connected. Recording stops by itself within two seconds when the server cannot be reached."
        )
        await mia.look("room-network-lost")
        await expect(ada.page.get_by_text("Mia: not here")).to_be_visible(timeout=RETURN_MS)
        await ada.recording_says("Recording is on, but nothing arrives at the moment.")
        assert lost.dropped > 0

        lost.up.set()
        await recorded_again(mia)
        await expect(mia.page.get_by_text(LOST)).to_be_hidden()
        await expect(ada.page.get_by_text("Mia: not here")).to_be_hidden(timeout=RETURN_MS)
        await recorded_again(ada)
        await ada.plays()
        await stored_up_to(scene)
        await ada.page.get_by_text("End the session").click()
        await ada.press("End for everyone")
        await expect(mia.page.get_by_role("heading", name="Thank you")).to_be_visible()
        await until(lambda: all_ended(scene), "the end of every take")
        assert ada.faults + mia.faults == []
    [recording] = await all_of(scene, Recording)
    await finalise(scene.wiring, scene.account, recording.id)
    [recording] = await all_of(scene, Recording)
    assert recording.state == "stored"
    assert recording.duration_ms > 10_000
    gaps = [gap for gap in recording.gaps or [] if gap["to_ms"] - gap["from_ms"] > 3_000]
    assert gaps, "what did not arrive is a gap"


async def test_a_reload_and_a_web_process_that_starts_anew_cost_no_more_than_a_gap(
    database: Database, tmp_path: Path
) -> None:
    scene, ada_cookie, mia_cookie = await ready(database, tmp_path)
    async with media(scene.wiring), chromium(FAKE_SCREEN) as browser:
        ada = await window(browser, scene, ada_cookie)
        mia = await window(browser, scene, mia_cookie, width=360)
        async with serving(scene):
            await enters(ada, scene)
            await enters(mia, scene)
            await mia.press("I am ready")
            await recorded_again(mia)
            await mia.page.reload()
            await recorded_again(mia)
            await ada.plays()
        await expect(mia.page.get_by_text(LOST)).to_be_visible(timeout=RETURN_MS)
        await expect(ada.page.locator("#connection")).to_contain_text("Trying again by itself", timeout=RETURN_MS)
        async with serving(scene):
            await recorded_again(mia)
            await recorded_again(ada)
            await expect(mia.page.get_by_text(LOST)).to_be_hidden()
            await ada.plays()
            assert ada.faults + mia.faults == []
    assert len(await all_of(scene, Recording)) == 1
    numbers = sorted(take.number for take in await all_of(scene, Take))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) < 10, "a page that asked anew with every word of the room would have dozens"


async def kept(scene: Stage) -> int:
    """Frames of the only live take, of the track that has fewest."""
    node = NodeClient(scene.wiring.settings)
    try:
        [stream] = (await node.facts(scene.wiring.settings.node_url, scene.session)).streams
    finally:
        await node.close()
    return min(track.frames for track in stream.tracks)


async def goes_on(scene: Stage, before: int) -> bool:
    return await kept(scene) > before + 30


async def is_answered(lost: Network) -> bool:
    return lost.answered > 0


async def all_ended(scene: Stage) -> bool:
    return all(take.ended_at for take in await all_of(scene, Take))
