"""Publishers that are no browser: libwebrtc from Node.js is recorded, ffmpeg's H.264 is refused in clear words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.journeys.browser import until
from tests.journeys.quick import recording_room, served, stored

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[1] / "node_modules"
FFMPEG_OFFER = HERE / "material" / "ffmpeg-9-h264.sdp"


async def line(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout is not None
    async with asyncio.timeout(30):
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
        assert seen["video"] > 40
        assert seen["audio"] > 100


async def test_an_offer_of_h264_alone_is_refused_in_words_a_person_can_use(data_dir: Path) -> None:
    async with recording_room(data_dir) as (owner, guest):
        whip, token = await guest.room_token(owner.session, "camera")
        headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
        async with httpx.AsyncClient(trust_env=False) as ffmpeg:
            answer = await ffmpeg.post(whip, content=FFMPEG_OFFER.read_bytes(), headers=headers)
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert "VP8" in answer.json()["detail"]
        await owner.lead("end")
        page = await owner.browser.open(f"/sessions/{owner.session}")
        assert "Nothing was recorded" in page.words
