"""A publisher of encoded clips over real ICE, DTLS and SRTP that costs little and reports exactly: what a recording
shows of it can be told from the moment it began."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiortc import RTCRtpSender

from app.demo.clips import Clip
from app.room import sdp
from bench.plane.packets import OutgoingClip, Repairs
from bench.plane.wire import LightPeer, payload_types, ssrcs
from recordings.capture import rtcp
from recordings.capture.aiortc_internals import MediaTransport
from tests.app.loopback import HERE


@dataclass(frozen=True, kw_only=True, slots=True)
class SentFrame:
    """at_s: seconds since the clip's beginning."""

    at_s: float
    data: bytes


class LightPublisher:
    """A picture and perhaps a voice, on one clock that is `skew_s` ahead of ours. What is lost is sent again if it
    `repairs`: pictures by RTX (RFC 4588), sound as it was."""

    def __init__(self, *clips: Clip, skew_s: float = 0.0, repairs: bool = True) -> None:
        self._peer = LightPeer("sendonly", on_rtcp=self._feedback)
        known = [one for one in RTCRtpSender.getCapabilities("video").codecs if one.name in ("VP8", "rtx")]
        self._peer.pc.getTransceivers()[0].setCodecPreferences(known)
        self._clips, self._skew_s, self._repairs = clips, skew_s, repairs
        self._tracks: list[OutgoingClip] = []
        self._transport: MediaTransport | None = None
        self.sent: list[list[SentFrame]] = [[] for _ in clips]
        self.close = self._peer.close

    async def connect(self, answer_to: Callable[[str], Awaitable[str]]) -> None:
        """answer_to: gets the offer."""
        offer = await self._peer.offer(HERE)
        answer = await answer_to(offer)
        self._transport = await self._peer.accept(answer)
        numbers, payloads = ssrcs(offer), payload_types(answer)
        for clip in self._clips:
            media = clip.kind.value
            self._tracks.append(
                OutgoingClip(
                    clip,
                    ssrc=numbers[media],
                    payload_type=payloads[media],
                    send=self._transport.send_rtp,
                    repairs=_repairs(offer, answer, media),
                )
            )

    async def play(self, starts_at: float, is_over: Callable[[float], bool]) -> None:
        """Each packet at its time, until the clips or the wish to see them are over. starts_at: UTC of tick 0; is_over:
        asked before each packet, with its second in the clip."""
        assert self._transport is not None
        due = sorted(
            (packet.ticks / clip.clock_hz, number, packet.ticks)
            for number, clip in enumerate(self._clips)
            for packet in clip.packets
        )
        for at_s, number, ticks in due:
            await asyncio.sleep(max(0.0, starts_at + at_s - time.time()))
            if is_over(at_s):
                return
            now = time.time()
            report = self._tracks[number].report(now - starts_at, now + self._skew_s)
            self.sent[number].append(SentFrame(at_s=at_s, data=self._tracks[number].frame(ticks)))
            if report is not None:
                self._transport.send_rtcp(report)

    def _feedback(self, packet: bytes) -> None:
        for message in rtcp.read(packet):
            for track in self._tracks:
                if isinstance(message, rtcp.Nack):
                    if self._repairs:
                        track.repair(message)
                elif isinstance(message, rtcp.KeyFrameRequest):
                    track.refresh(message, time.monotonic())


def _repairs(offer: str, answer: str, media: str) -> Repairs | None:
    """What was agreed on: the second SSRC of a section repairs the first."""
    offered = next(section for section in sdp.read_sections(offer) if section.kind == media)
    answered = next(section for section in sdp.read_sections(answer) if section.kind == media)
    if len(offered.ssrcs) < 2 or not answered.repairs:
        return None
    return Repairs(ssrc=offered.ssrcs[1], payload_type=next(iter(answered.repairs)))
