"""A program in a room (app/room/PROTOCOL.md): sends a drawn picture and a tone, looks at one stream, and leaves.

    pip install aiortc httpx websockets
    python client.py https://junier.example/i/...          the link from an invitation's mail

Whoever was invited has opened the link in a browser before, registered, consented to video and audio, and is let in
while the room is open. Consent is theirs to give, not a program's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import numpy
from aiortc import AudioStreamTrack, MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCConfiguration, RTCIceServer
from av import AudioFrame, VideoFrame
from httpx import AsyncClient
from websockets.asyncio.client import connect
from websockets.typing import Origin

ENOUGH = Counter(video=30, audio=50)  # pictures and pieces of sound: about a second of each


class Picture(VideoStreamTrack):
    """Thirty a second, each a little brighter."""

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        shade = numpy.full((240, 320, 3), pts // 3000 * 5 % 256, numpy.uint8)
        frame = VideoFrame.from_ndarray(shade, format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """440 Hz."""

    async def recv(self) -> AudioFrame:
        frame = await super().recv()  # 20 ms of silence, when they are due
        assert isinstance(frame, AudioFrame) and frame.pts is not None
        at = (frame.pts + numpy.arange(frame.samples)) / frame.sample_rate
        frame.planes[0].update((8000 * numpy.sin(2 * numpy.pi * 440 * at)).astype(numpy.int16).tobytes())
        return frame


async def post_offer(http: AsyncClient, url: str, peer: RTCPeerConnection, **headers: str) -> str:
    """One offer, one answer: WHIP and WHEP alike. Returns the address whose DELETE ends it."""
    await peer.setLocalDescription(await peer.createOffer())
    sdp, headers = peer.localDescription.sdp, headers | {"content-type": "application/sdp"}
    while (answer := await http.post(url, content=sdp, headers=headers)).status_code in (409, 429, 503):
        await asyncio.sleep(int(answer.headers["retry-after"]))  # not now, says the room; try again
    if answer.status_code != 201:
        raise SystemExit(f"{answer.status_code}: {answer.text}")  # the `detail` of the problem says what to do
    await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return urljoin(str(answer.url), answer.headers["location"])


async def stream_to_view(http: AsyncClient, room: str) -> str:
    """The recording's id of somebody else's stream, or else of our own, as soon as one is there."""
    cookies = "; ".join(f"{one.name}={one.value}" for one in http.cookies.jar)
    events = room.replace("http", "ws", 1) + "/events"
    async with connect(events, origin=Origin(http.headers["origin"]), additional_headers={"cookie": cookies}) as told:
        async for message in told:
            facts = json.loads(message)
            if facts["streams"]:
                return str(max(facts["streams"], key=lambda one: one["person"] != facts["you"]["person"])["recording"])
    raise SystemExit("The room was closed.")


async def count(track: MediaStreamTrack, seen: Counter[str]) -> None:
    with suppress(MediaStreamError):  # the stream has ended
        while await track.recv():
            seen[track.kind] += 1


async def take_part(link: str) -> Counter[str]:
    """Publish and view for about a second. Returns how many pictures and pieces of sound were seen."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    async with AsyncClient(base_url=origin, headers={"origin": origin}, timeout=30) as http:
        opened = await http.post(link)  # sets the login cookie
        if opened.status_code != 303:
            raise SystemExit("Please open the link in a browser first, register, and decide what may be recorded.")
        room = f"{origin}/rooms/{opened.headers['location'].rpartition('/')[2]}"
        ice = RTCConfiguration([RTCIceServer(**one) for one in (await http.get(f"{room}/ice")).json()["iceServers"]])
        camera, viewer, seen = RTCPeerConnection(ice), RTCPeerConnection(ice), Counter[str]()
        for track in (Picture(), Tone()):
            camera.addTransceiver(track, direction="sendonly")
            viewer.addTransceiver(track.kind, direction="recvonly")
        counts: list[asyncio.Task[None]] = []
        viewer.on("track", lambda track: counts.append(asyncio.create_task(count(track, seen))))
        try:
            token = (await http.post(f"{room}/token", data={"stream": "camera"})).raise_for_status().json()
            sending = await post_offer(http, token["whip"], camera, authorization=f"Bearer {token['token']}")
            viewing = await post_offer(http, f"/whep/{await stream_to_view(http, room)}", viewer)  # by the cookie
            async with asyncio.timeout(30):
                while not seen >= ENOUGH:
                    await asyncio.sleep(0.1)
            await http.delete(viewing)
            await http.delete(sending, headers={"authorization": f"Bearer {token['token']}"})
        finally:
            await asyncio.gather(camera.close(), viewer.close())
            await asyncio.gather(*counts)
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(take_part(sys.argv[1]))))
