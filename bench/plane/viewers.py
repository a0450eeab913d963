"""Viewers in a process of their own: `python -m bench.plane.viewers`. They count what comes and decode nothing."""

from __future__ import annotations

import asyncio

from bench.plane.exchange import Answer, Job, Offer, read, say, standard_input
from bench.plane.wire import LightPeer


class Viewer:
    """One viewer of one stream. packets: that came and could be decrypted."""

    def __init__(self) -> None:
        self.packets = 0
        self._peer = LightPeer("recvonly", on_rtp=self._count)
        self.close = self._peer.close

    async def connect(self, job: Job, lines: asyncio.StreamReader) -> None:
        say(Offer(sdp=await self._peer.offer([job.address])))
        await self._peer.accept((await read(lines, Answer)).sdp)

    def _count(self, packet: bytes) -> None:
        self.packets += 1


async def main() -> None:
    lines = await standard_input()
    job = await read(lines, Job)
    viewers = [Viewer() for _ in range(job.peers)]
    try:
        for one in viewers:
            await one.connect(job, lines)
        say("playing")
        before = [one.packets for one in viewers]
        await asyncio.sleep(job.seconds)
        say([one.packets - first for one, first in zip(viewers, before, strict=True)])
        await lines.read()
    finally:
        for one in viewers:
            await one.close()


if __name__ == "__main__":
    asyncio.run(main())
