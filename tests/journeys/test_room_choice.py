"""Another camera or another microphone, chosen in the device check and in the room: what is seen, heard and recorded
follows at once, within the same take, and whatever cannot be opened changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, Request, expect

from app.database import Database
from app.invitations.service import admit
from app.room.node_client import NodeClient
from app.sessions.models import Take
from app.studies.models import ConsentKind
from recordings.model import TrackKind
from tests.app.room_stage import Stage, media, patient, serving, stage
from tests.journeys.browser import FAKE_SCREEN, Window, chromium, until
from tests.journeys.rows import all_of, window

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

FOUR_CAMERAS = "--use-fake-device-for-media-stream=device-count=4"
"""Of which two are shown: the second and the third give pictures in forms that no stream is made of."""
DEVICES = """
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const known = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
window.devices = { given: [], refused: "", phone: false, seen: (all) => all };
devices.ours = (one) => !["fake_device_1", "fake_device_2"].includes(one.label);
devices.live = (kind) => devices.given.filter((one) => one.kind === kind && one.readyState === "live");
devices.used = (kind) => devices.live(kind).map((one) => one.getSettings().deviceId);
devices.changed = () => navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
devices.unplug = (kind) => {
  const [track] = devices.live(kind);
  devices.gone = track.getSettings().deviceId;
  devices.seen = (all) => all.filter((one) => one.deviceId !== devices.gone);
  track.stop();
  track.dispatchEvent(new Event("ended"));
  devices.changed();
};
navigator.mediaDevices.enumerateDevices = async () => devices.seen((await known()).filter(devices.ours));
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const id = (wanted.video || wanted.audio).deviceId?.exact;
  if (id && id === devices.refused) throw new DOMException("", "NotReadableError");
  if (devices.phone && wanted.video && devices.live("video").length) throw new DOMException("", "NotReadableError");
  const media = await real(wanted);
  for (const track of devices.phone ? media.getTracks() : []) {
    const settings = { ...track.getSettings(), facingMode: "environment" };
    track.getSettings = () => settings;
  }
  devices.given.push(...media.getTracks());
  return media;
};
"""
"""Keeps what is given. `refused`: the id of a device that another program holds; `phone`: one camera at a time, facing
away; `seen`: what there is; unplug(kind): the one in use is gone."""
BLANK = "devices.seen = (all) => all.map(({ deviceId, kind }) => ({ deviceId, groupId: kind, kind, label: '' }))"
"""One group: then \"default\" stands for another one of the list."""
ONLY_ONE = (
    "devices.seen = (all) => ['audioinput', 'videoinput'].map((kind) => all.findLast((one) => one.kind === kind))"
)
SHOWN = "id => document.getElementById(id).srcObject.getVideoTracks().map((one) => one.getSettings().deviceId)"
NEXT_PICTURE = "id => new Promise((done) => document.getElementById(id).requestVideoFrameCallback(() => done()))"
HEARD = "() => document.getElementById('level').value > 0.05"
BUSY = "Another program is using the camera. Close it, then try again. The one you had is still in use."
LOST = "Your microphone is not connected any more. Plug it in again and choose it, or choose another one."
BLANK_LABELS = {"Camera": ["Camera 1", "Camera 2"], "Microphone": ["Microphone 1", "Microphone 2"]}


def listed(page: Page, name: str) -> Locator:
    """The list of the part of the page that is shown."""
    return page.get_by_role("combobox", name=name, exact=True)


async def others(page: Page, name: str) -> list[str]:
    """Ids that could be chosen instead of the one that is."""
    found = "list => [...list.options].filter((one) => one.value && !one.selected).map((one) => one.value)"
    return list(await listed(page, name).evaluate(found))


async def chosen(page: Page, name: str) -> str:
    """Choose the first of the others, and see it used: one device of its kind, live. Its id."""
    other = (await others(page, name))[0]
    await listed(page, name).select_option(other)
    kind = "video" if name == "Camera" else "audio"
    await page.wait_for_function("([kind, id]) => devices.used(kind).join() === id", arg=[kind, other])
    await expect(listed(page, name)).to_have_value(other)
    return other


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the media process keeps of the only stream, in one take."""

    scene: Stage
    client: NodeClient
    take: int

    async def frames(self, kind: TrackKind) -> int:
        """So far."""
        url = self.scene.wiring.settings.node_url
        [stream] = (await self.client.facts(url, self.scene.session)).streams
        assert stream.take == self.take
        return next(track.frames for track in stream.tracks if track.kind is kind)

    async def goes_on(self, kind: TrackKind) -> None:
        """More is kept than a moment ago."""
        before = await self.frames(kind)

        async def more() -> bool:
            return await self.frames(kind) > before + 5

        await until(more, f"more frames of the {kind}")


async def takes(scene: Stage) -> list[int]:
    return sorted(take.number for take in await all_of(scene, Take))


def offers(sent: list[str]) -> int:
    """How often a stream was offered."""
    return sum(line.startswith("POST ") and "/whip?" in line for line in sent)


async def test_a_camera_and_a_microphone_are_chosen(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    mia = await scene.participant("Mia", ConsentKind.VIDEO, ConsentKind.AUDIO)
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=mia)
    async with media(scene.wiring), serving(scene), chromium(FAKE_SCREEN, FOUR_CAMERAS) as browser:
        one = await window(browser, scene, await scene.cookie(participant=mia), width=360)
        page, sent = one.page, list[str]()

        def listen(request: Request) -> None:
            sent.append(f"{request.method} {request.url} {request.post_data or ''}")

        page.on("request", listen)
        await page.add_init_script(DEVICES)
        await page.goto(f"{scene.wiring.settings.origin}/rooms/{scene.session}")
        await in_the_check(one)
        await one.press("I am ready")
        await one.recording_says("Recording: video and voice")
        begun = await takes(scene), offers(sent)
        kept = Kept(scene=scene, client=patient(scene.wiring.settings), take=len(begun[0]))
        await in_the_room(kept, one)
        await unplugged(kept, one)
        await kept.client.close()
        ids = await page.evaluate("devices.given.map((one) => one.getSettings().deviceId)")
        names = await page.evaluate("devices.given.map((one) => one.label)")
        assert [line for line in sent if any(name in line for name in {*ids, *names} if len(name) > 7)] == []
        assert (await takes(scene), offers(sent)) == begun, "nothing was negotiated anew"

        # a consent taken back takes its list along
        await expect(listed(page, "Camera")).to_be_visible()
        await scene.consent(mia, [ConsentKind.VIDEO], given=False)
        await expect(listed(page, "Camera")).to_be_hidden()
        await expect(listed(page, "Microphone")).to_be_visible()
        assert await page.evaluate("devices.used('video')") == []
        assert one.faults == []


async def in_the_check(one: Window) -> None:
    page = one.page
    await expect(listed(page, "Camera").locator("option")).to_have_count(2)
    first, second = await listed(page, "Camera").input_value(), (await others(page, "Camera"))[0]
    await listed(page, "Camera").focus()
    await page.keyboard.press(
        "ArrowDown" if await listed(page, "Camera").evaluate("one => !one.selectedIndex") else "ArrowUp"
    )
    await page.wait_for_function("id => devices.used('video').join() === id", arg=second)
    assert await page.evaluate(SHOWN, "preview") == [second]
    await page.evaluate(NEXT_PICTURE, "preview")
    await chosen(page, "Microphone")
    await page.wait_for_function(HEARD)

    # held by another program: the old one stays, also where it had to be closed for the attempt
    await page.evaluate("id => (devices.refused = id)", first)
    await listed(page, "Camera").select_option(first)
    await expect(page.locator("#device-told")).to_have_text(BUSY)
    await expect(listed(page, "Camera")).to_have_value(second)
    assert await page.evaluate("devices.used('video')") == await page.evaluate(SHOWN, "preview") == [second]
    await one.look("room-choice-refused")
    await page.evaluate("devices.refused = ''")

    # as on a phone, which has one camera open at a time
    await page.evaluate("devices.phone = true")
    assert await chosen(page, "Camera") == first
    await expect(page.locator("#preview")).to_have_class("self outward")
    await expect(page.locator("#device-told")).to_be_hidden()
    await page.evaluate("devices.phone = false")


async def in_the_room(kept: Kept, one: Window) -> None:
    """One take, muted stays muted, and a camera that is off stays off."""
    page = one.page
    await expect(listed(page, "Camera")).to_be_hidden()
    await page.locator("#inside summary", has_text="Camera and microphone").click()
    await kept.goes_on(TrackKind.CAMERA)
    camera = await chosen(page, "Camera")
    assert await page.evaluate(SHOWN, "self") == [camera]
    await expect(page.locator("#self")).to_have_class("self small")
    await kept.goes_on(TrackKind.CAMERA)
    await one.press("Mute")
    await chosen(page, "Microphone")
    assert await page.evaluate("devices.live('audio').map((one) => one.enabled)") == [False]
    await one.press("Unmute")
    await kept.goes_on(TrackKind.VOICE)

    await one.press("Camera off")
    other = (await others(page, "Camera"))[0]
    given = await page.evaluate("devices.given.length")
    await listed(page, "Camera").select_option(other)
    await expect(page.get_by_role("button", name="Camera on")).to_be_visible()
    assert await page.evaluate("[devices.given.length, devices.used('video')]") == [given, []]
    await one.press("Camera on")
    await page.wait_for_function("id => devices.used('video').join() === id", arg=other)
    await kept.goes_on(TrackKind.CAMERA)


async def unplugged(kept: Kept, one: Window) -> None:
    page = one.page
    await page.evaluate("devices.unplug('audio')")
    await expect(page.locator("#device-told")).to_have_text(LOST)
    await expect(page.get_by_role("button", name="Mute", exact=True)).to_be_hidden()
    assert await page.evaluate("devices.gone") not in await others(page, "Microphone")
    await one.look("room-choice-lost")
    await chosen(page, "Microphone")
    await expect(page.locator("#device-told")).to_be_hidden()
    await kept.goes_on(TrackKind.VOICE)

    # names that the browser keeps to itself; and with one of each there is nothing to choose
    await page.evaluate(f"{BLANK}, devices.changed()")
    for name, labels in BLANK_LABELS.items():
        await expect(listed(page, name).locator("option")).to_have_text(labels)
    await page.evaluate(f"{ONLY_ONE}, devices.changed()")
    await expect(page.locator("#inside .choices")).to_be_hidden()
    await page.evaluate("devices.seen = (all) => all, devices.changed()")
