"""Publishers in a process of their own, so that their cost is not counted: `python -m bench.plane.senders`.

Pictures and sound were encoded before; they go out over real ICE, DTLS and SRTP, in real time. What was lost is sent
again (NACK), and who asks for a key frame (PLI) gets one and what refers to it (bench/plane/packets.py), so that no
recorder is measured while it waits for one in vain. After the last packet
the connections stay until standard input closes, so that what was lost can still be asked for.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from pathlib import Path

import msgspec

from app.demo.clips import Clip
from bench.media import lasting
from bench.plane.exchange import Answer, Job, Offer, Sent, read, say, standard_input
from bench.plane.packets import OutgoingClip
from bench.plane.wire import LightPeer, payload_types, ssrcs
from recordings.capture import rtcp

SETTLE_S = 0.5
"""Between our end of DTLS being connected and the first packet; what overtakes the other end's cannot be decrypted."""
STEP_S = 0.005
REPAIR_S = 0.4
"""After the last packet, in which it can still be asked for again."""


class Sender:
    """One publisher of a camera and a voice."""

    def __init__(self) -> None:
        self._peer = LightPeer("sendonly", on_rtcp=self._feedback)
        self.tracks: list[OutgoingClip] = []
        self.close = self._peer.close

    async def connect(self, job: Job, lines: asyncio.StreamReader, clips: tuple[Clip, Clip]) -> None:
        offer = await self._peer.offer([job.address])
        say(Offer(sdp=offer))
        answer = await read(lines, Answer)
        transport = await self._peer.accept(answer.sdp)
        numbers, payloads = ssrcs(offer), payload_types(answer.sdp)
        self.send_rtcp = transport.send_rtcp
        for clip in clips:
            media = clip.kind.value
            self.tracks.append(
                OutgoingClip(clip, ssrc=numbers[media], payload_type=payloads[media], send=transport.send_rtp)
            )

    @property
    def sent(self) -> Sent:
        video, audio = self.tracks
        return Sent(frames=video.sent, audio_packets=audio.sent, rewinds=video.rewinds)

    def _feedback(self, packet: bytes) -> None:
        for message in rtcp.read(packet):
            for track in self.tracks:
                if isinstance(message, rtcp.Nack):
                    track.repair(message)
                elif isinstance(message, rtcp.KeyFrameRequest):
                    track.refresh(message, time.monotonic())


async def play(senders: list[Sender], clips: tuple[Clip, Clip], stagger_s: float) -> None:
    """All clips of all senders, each packet at its time, looked at every STEP_S."""
    clock = asyncio.get_running_loop().time
    begins = clock() + SETTLE_S
    due: list[tuple[float, int, int, int]] = []  # (when, sender, track, packet)
    for number in range(len(senders)):
        starts = begins + number * stagger_s / len(senders)
        due += [(starts, number, track, 0) for track in range(len(clips))]
    heapq.heapify(due)
    while due:
        now = clock()
        while due and due[0][0] <= now:
            _, number, track, index = due[0]
            outgoing, clip = senders[number].tracks[track], clips[track]
            starts = begins + number * stagger_s / len(senders)
            report = outgoing.report(now - starts)
            if report is not None:
                senders[number].send_rtcp(report)
            outgoing.frame(clip.packets[index].ticks)
            if index + 1 < len(clip.packets):
                at = starts + clip.packets[index + 1].ticks / clip.clock_hz
                heapq.heapreplace(due, (at, number, track, index + 1))
            else:
                heapq.heappop(due)
        if due:
            await asyncio.sleep(max(STEP_S, due[0][0] - clock()))
    await asyncio.sleep(REPAIR_S)


async def main() -> None:
    lines = await standard_input()
    job = await read(lines, Job)
    picture, voice = msgspec.msgpack.decode(Path(job.clips).read_bytes(), type=tuple[Clip, Clip])
    clips = lasting(picture, job.seconds), lasting(voice, job.seconds)
    senders = [Sender() for _ in range(job.peers)]
    try:
        for one in senders:
            await one.connect(job, lines, clips)
        say("playing")
        await play(senders, clips, job.stagger_s)
        say([one.sent for one in senders])
        await lines.read()
    finally:
        for one in senders:
            await one.close()


if __name__ == "__main__":
    asyncio.run(main())
