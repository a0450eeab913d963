"""aiortc as its documentation shows it, with MediaRecorder: `python -m bench.plane.stock FILE`; one publisher.

It encodes anew and falls behind what is sent, so it is given the time to finish once the publisher has left.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRecorder
from av import Packet
from av.frame import Frame

from bench.plane.exchange import Answer, Ended, Offer, read, say, standard_input
from recordings.capture import aiortc_internals

FINISHED_WITHIN_S = 50.0


class Relayed(MediaStreamTrack):
    """A track as it is; sound waits for the first picture, because MediaRecorder's .webm breaks when sound is first."""

    def __init__(self, track: MediaStreamTrack, first_picture: asyncio.Event) -> None:
        super().__init__()
        self.kind = track.kind
        self._track, self._first_picture = track, first_picture

    async def recv(self) -> Frame | Packet[Any]:
        if self.kind == "audio":
            await self._first_picture.wait()
        frame = await self._track.recv()
        self._first_picture.set()
        return frame


async def main(file: str) -> None:
    lines = await standard_input()
    offer = await read(lines, Offer)
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    recorder = MediaRecorder(file)
    first_picture = asyncio.Event()
    ended: list[asyncio.Event] = []

    @pc.on("track")
    def _(track: MediaStreamTrack) -> None:
        recorder.addTrack(Relayed(track, first_picture))
        ended.append(asyncio.Event())
        track.on("ended", ended[-1].set)

    await pc.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
    aiortc_internals.guard()
    with aiortc_internals.gather_on(["127.0.0.1"]):
        await pc.setLocalDescription()
    await recorder.start()
    say(Answer(sdp=pc.localDescription.sdp))
    await lines.read()
    await pc.close()  # queues the end of each track behind its last frame
    await asyncio.wait_for(asyncio.gather(*(one.wait() for one in ended)), FINISHED_WITHIN_S)
    await recorder.stop()
    say(Ended(processor_s=time.process_time()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
