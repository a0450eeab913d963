"""GStreamer's webrtcbin publishes by WHIP, VP8 and H.264, and its recording has its pictures and its sound.

Collected only when it is named, as `make trials` does; skipped where GStreamer or its bindings for the system's Python
are missing (Debian: gstreamer1.0-plugins-base, -good, -bad, gstreamer1.0-nice, python3-gi, gir1.2-gst-plugins-bad-1.0).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.hostile import trial
from tests.journeys.browser import until
from tests.journeys.quick import recording_room, served, stored

PYTHON = shutil.which("python3", path="/usr/bin:/bin") or ""
NEEDED = ("webrtcbin", "nicesrc", "dtlsenc", "srtpenc", "opusenc", "rtpopuspay")
OF_CODEC = {"VP8": ("vp8enc", "rtpvp8pay"), "H264": ("openh264enc", "h264parse", "rtph264pay")}
FIND = """
import gi, sys
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
print(*(name for name in sys.argv[1:] if Gst.ElementFactory.find(name) is None))
"""
LEAST_PICTURES, LEAST_SOUNDS = 90, 200
"""Of five seconds and more, on a machine too slow for all of them."""
BEFORE_PERMISSION = 2
"""Seconds of what was sent, which are not recorded: the first permission comes within one."""


def own_address() -> str:
    """Of this machine, but not its loopback, which webrtcbin never sends from; empty without any."""
    every = [one for found in psutil.net_if_addrs().values() for one in found if one.family is socket.AF_INET]
    return next((one.address for one in every if not one.address.startswith("127.")), "")


def missing(*elements: str) -> str:
    """Why it cannot be tried; empty when it can."""
    if not PYTHON:
        return "the system has no Python"
    found = subprocess.run([PYTHON, "-c", FIND, *elements], capture_output=True, text=True, timeout=60, check=False)
    if found.returncode:
        return "the system's Python has no GStreamer"
    return f"GStreamer has no {', '.join(found.stdout.split())}" if found.stdout.strip() else ""


@pytest.mark.parametrize("codec", OF_CODEC)
async def test_webrtcbin_publishes_and_is_recorded(data_dir: Path, codec: str) -> None:
    if why := missing(*NEEDED, *OF_CODEC[codec]):
        pytest.skip(why)
    if not (address := own_address()):
        pytest.skip("this machine has no address but loopback")
    async with recording_room(data_dir, media=address) as (owner, guest):
        whip, token = await guest.room_token(owner.session, "camera")
        client = await asyncio.create_subprocess_exec(
            PYTHON,
            str(Path(__file__).parent / "gstreamer_client.py"),
            whip,
            codec,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert client.stdin is not None
            client.stdin.write(f"{token}\n".encode())
            version = (await said(client))["gstreamer"]
            await until(lambda: stored(owner), "five seconds in the store")
            client.stdin.write(b"\n")
            sent = await said(client)
            assert await asyncio.wait_for(client.wait(), 30) == 0
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        await owner.lead("end")
        seen = await served(owner)
        trial.note("gstreamer", version=version, codec=codec, sent=sent, **seen)
        pictures, sounds = int(str(sent["picture"])), int(str(sent["sound"]))
        assert max(LEAST_PICTURES, pictures - 30 * BEFORE_PERMISSION) <= seen["video"] <= pictures
        assert max(LEAST_SOUNDS, sounds - 50 * BEFORE_PERMISSION) <= seen["audio"] <= sounds


async def said(client: asyncio.subprocess.Process) -> dict[str, object]:
    """The next line of the client."""
    assert client.stdout is not None
    line = await asyncio.wait_for(client.stdout.readline(), 60)
    assert line, "GStreamer ended by itself"
    answer: dict[str, object] = json.loads(line)
    return answer
