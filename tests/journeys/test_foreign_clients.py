"""Publishers that are no browser: libwebrtc from Node.js, FFmpeg's H.264 and the example client are recorded."""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
from pathlib import Path

import httpx
import pytest

from app.demo.people import Guest, Outbox, Owner
from recordings.capture import aiortc_internals
from tests.journeys.browser import Window, chromium, until
from tests.journeys.quick import recording_room, served, stored

pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[1] / "node_modules"
EXAMPLE = HERE.parents[1] / "docs" / "examples" / "client.py"
FFMPEG_OFFER = HERE / "material" / "ffmpeg-9-h264.sdp"


async def line(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout is not None
    async with asyncio.timeout(90):
        text = await process.stdout.readline()
    assert text, "the client ended by itself"
    answer: dict[str, object] = json.loads(text)
    return answer


async def test_libwebrtc_publishes_with_a_room_token_and_is_recorded(data_dir: Path) -> None:
    if not (NODE_MODULES / "@roamhq" / "wrtc").is_dir():
        pytest.skip("@roamhq/wrtc is not installed (npm ci)")
    async with recording_room(data_dir) as (owner, guest):
        whip, token = await guest.room_token(owner.session, "camera")
        client = await asyncio.create_subprocess_exec(
            "node",
            str(HERE / "wrtc_client.mjs"),
            whip,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert client.stdin is not None
            client.stdin.write(f"{token}\n".encode())
            begun = await line(client)
            assert set(begun["codecs"]) >= {"video/VP8", "audio/opus"}
            await until(lambda: stored(owner), "five seconds in the store")
            client.stdin.write(b"\n")
            ended = await line(client)
            assert await client.wait() == 0
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        assert ended["ended"] == 200
        await owner.lead("end")
        seen = await served(owner)
        assert seen["video"] > 10  # a busy machine sends few pictures
        assert seen["audio"] > 100


async def test_ffmpeg_publishes_h264_and_the_review_plays_it(data_dir: Path) -> None:
    """FFmpeg 8 as it comes: it is recorded without being decoded, picture for picture, and a browser shows it."""
    async with recording_room(data_dir) as (owner, guest), chromium() as browser:
        whip, token = await guest.room_token(owner.session, "camera")
        ffmpeg = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / "ffmpeg_client.py"),
            whip,
            str(data_dir),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert ffmpeg.stdin is not None
            ffmpeg.stdin.write(f"{token}\n".encode())
            assert "ffmpeg" in await line(ffmpeg)
            await until(lambda: stored(owner), "five seconds in the store")
            ffmpeg.stdin.write(b"\n")
            sent = await line(ffmpeg)
            assert await ffmpeg.wait() == 0
        finally:
            if ffmpeg.returncode is None:
                ffmpeg.kill()
                await ffmpeg.wait()
        await owner.lead("end")
        seen = await served(owner)
        # not recorded: what was sent before permission came, and while it lapsed on a machine that stood still for two
        # seconds; each time also what comes before the next key frame, of which there is one in 30
        assert int(str(sent["pictures"])) - 4 * 30 <= seen["video"] <= int(str(sent["pictures"]))
        assert seen["video"] > 30
        assert seen["audio"] > 100
        window = await Window.open(browser)
        await window.context.add_cookies(
            [
                {"name": one.name, "value": str(one.value), "url": owner.browser.origin}
                for one in owner.browser.http.cookies.jar
            ]
        )
        await window.page.goto(f"{owner.browser.origin}/sessions/{owner.session}/review")
        await window.page.wait_for_function("() => document.querySelector('video')?.readyState >= 2")
        await window.page.get_by_role("button", name="Play", exact=True).click()
        await window.page.wait_for_function("() => document.querySelector('video').currentTime > 2")
        video = window.page.locator("video").first
        size = await video.evaluate("video => [video.videoWidth, video.videoHeight]")
        assert size == [320, 240]
        assert window.faults == []


async def test_an_offer_we_cannot_record_is_refused_in_words_and_the_example_client_is_taken_in(data_dir: Path) -> None:
    async with recording_room(data_dir) as (owner, guest):
        whip, token = await guest.room_token(owner.session, "camera")
        headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as ffmpeg:
            answer = await ffmpeg.post(whip, content=FFMPEG_OFFER.read_text().replace("H264", "H265"), headers=headers)
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert "VP8 or H.264" in answer.json()["detail"]
        assert (await owner.room())["streams"] == []
        await example_takes_part(owner, guest)
        await owner.lead("end")
        kept = await served(owner)
        assert len(await owner.media_links()) == 1
        assert kept["video"] > 0 and kept["audio"] > 0


async def example_takes_part(owner: Owner, guest: Guest) -> None:
    """With nothing but the mailed link the program of docs/examples publishes and views."""
    link = await Outbox(owner.browser).link(guest.address, "/i/")
    with aiortc_internals.gather_on(["127.0.0.1"]):  # a machine without a network has no other address
        seen = await runpy.run_path(str(EXAMPLE))["take_part"](link)
    assert seen["video"] >= 30 and seen["audio"] >= 50
