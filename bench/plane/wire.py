"""Light peers: aiortc for SDP, ICE and DTLS, the product's own transport for packets.

Sending through aiortc costs more than recording does; these leave the machine to what is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from app.room import sdp
from recordings.capture import aiortc_internals
from recordings.capture.aiortc_internals import MediaTransport

CONNECT_WITHIN_S = 30.0
CODECS = {"video": "video/vp8", "audio": "audio/opus"}


class LightPeer:
    """`offer`, then `accept` its answer. on_rtp, on_rtcp: what comes, in clear."""

    def __init__(
        self,
        direction: Literal["sendonly", "recvonly"],
        *,
        on_rtp: Callable[[bytes], None] = lambda packet: None,
        on_rtcp: Callable[[bytes], None] = lambda packet: None,
    ) -> None:
        self._on_rtp, self._on_rtcp = on_rtp, on_rtcp
        self._transport: MediaTransport | None = None
        self._connected: asyncio.Future[MediaTransport] = asyncio.get_running_loop().create_future()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        for media, codec in CODECS.items():
            known = RTCRtpSender.getCapabilities(media).codecs
            transceiver = self.pc.addTransceiver(media, direction=direction)
            transceiver.setCodecPreferences([one for one in known if one.mimeType.lower() == codec])

    async def offer(self, addresses: Sequence[str]) -> str:
        aiortc_internals.guard()
        with aiortc_internals.gather_on(addresses):
            await self.pc.setLocalDescription()
        return str(self.pc.localDescription.sdp)

    async def accept(self, answer: str) -> MediaTransport:
        """The connected transport. Raises TimeoutError."""
        dtls = self.pc.getTransceivers()[0].receiver.transport
        dtls.on("statechange", lambda: self._take_over(dtls))
        aiortc_internals.keep_media_out(self.pc)
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        return await asyncio.wait_for(self._connected, CONNECT_WITHIN_S)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        await self.pc.close()

    def _take_over(self, dtls: RTCDtlsTransport) -> None:
        if dtls.state != "connected" or self._transport is not None:
            return
        self._transport = MediaTransport(
            dtls, on_rtp=self._on_rtp, on_rtcp=self._on_rtcp, on_batch=lambda: None, on_tick=lambda: None
        )
        self._connected.set_result(self._transport)


def payload_types(answer: str) -> dict[str, int]:
    """By kind of media, what the answer agreed to."""
    return {
        section.kind: number
        for section in sdp.read_sections(answer)
        for number, name in section.codecs.items()
        if CODECS.get(section.kind) == f"{section.kind}/{name}"
    }


def ssrcs(offer: str) -> dict[str, int]:
    return {section.kind: section.ssrcs[0] for section in sdp.read_sections(offer) if section.ssrcs}
