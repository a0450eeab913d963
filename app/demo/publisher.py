"""A synthetic participant's stream: publishes a clip by WHIP (RFC 9725) over real ICE, DTLS and SRTP.

The clip's packets go out as they are, in real time. Picture and sound share one clock, so that the sender reports of
both place flash and beep at the same moment. What was sent is counted here, for others to compare with what was kept.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import httpx
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from app.demo.clips import Clip, ClipKind
from recordings.capture import aiortc_internals

if TYPE_CHECKING:
    from av import Packet
    from av.stream import Stream

CONNECT_SECONDS = 30.0
SETTLE_SECONDS = 0.5
"""Between our end of DTLS being connected and the first packet. The other end becomes connected when our last handshake
message reaches it, and what overtakes that moment cannot be decrypted there: a call loses it, a proof must not."""
REPAIR_SECONDS = 0.3
"""After the last packet, in which it can still be asked for again."""
CODECS = {ClipKind.VIDEO: ("video/VP8", "video/rtx"), ClipKind.AUDIO: ("audio/opus",)}
LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}


class PublishFailed(Exception):
    """The stream could not be published."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(f"{self.__doc__} {reason}")
        self.status = status  # of the WHIP answer, where that was the reason
        self.retry = status is None or status >= 500


class ClipTrack(MediaStreamTrack):
    """Plays a clip's packets to aiortc's sender, each at its time after `starts_at` (on the event loop's clock).

    `sent` counts the packets that are on the wire; it is final once `ended` is set.
    """

    def __init__(self, clip: Clip, starts_at: "asyncio.Future[float]") -> None:
        super().__init__()
        self.kind = clip.kind.value
        self.sent = 0
        self.ended = asyncio.Event()
        self._clip = clip
        self._starts_at = starts_at
        self._taken = 0
        self._is_last = False

    async def recv(self) -> "Packet[Stream]":
        """The next packet when it is due. The sender comes back only once the one before is on the wire."""
        self.sent = self._taken
        if self._taken < len(self._clip.packets):
            packet = self._clip.packets[self._taken]
            due = await self._starts_at + packet.ticks / self._clip.clock_hz
            await asyncio.sleep(due - asyncio.get_running_loop().time())
        if self._is_last or self._taken == len(self._clip.packets):
            raise MediaStreamError
        self._taken += 1
        return self._clip.av_packet(self._taken - 1)

    def finish(self) -> None:
        """Let no further packet out."""
        self._is_last = True

    def stop(self) -> None:
        """Called by the sender when it leaves the track, for whatever reason."""
        super().stop()
        self.ended.set()


class Publication:
    """A stream on its way; made by `publish`, to be closed by its owner."""

    def __init__(self, client: httpx.AsyncClient, token: str, video: Clip, audio: Clip | None) -> None:
        self.done = asyncio.Event()
        """Set when the whole clip has been sent, or nothing more can be because the connection is gone."""
        self.location: str | None = None
        """The WHIP resource, absolute."""
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}
        self._starts_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._video = ClipTrack(video, self._starts_at)
        self._audio = ClipTrack(audio, self._starts_at) if audio else None
        self._tracks = [track for track in (self._video, self._audio) if track]
        self._watching: asyncio.Task[None] | None = None
        self._received_before = 0
        # no ICE servers: aiortc's default is a STUN server on the internet, and the demo talks to nobody else
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._settled = asyncio.Event()  # connected, or never to be
        self._connection.on("connectionstatechange", self._state_changed)
        for track in self._tracks:
            transceiver = self._connection.addTransceiver(track, direction="sendonly")
            offered = RTCRtpSender.getCapabilities(track.kind).codecs
            wanted = CODECS[ClipKind(track.kind)]
            transceiver.setCodecPreferences([codec for codec in offered if codec.mimeType in wanted])

    @property
    def frames_sent(self) -> int:
        return self._video.sent

    @property
    def audio_packets_sent(self) -> int:
        return self._audio.sent if self._audio else 0

    @property
    def is_connected(self) -> bool:
        return bool(self._connection.connectionState == "connected")

    async def packets_answered(self) -> int:
        """How many packets the receiver has sent back since the connection stood (RTCP: reports, requests)."""
        return await self._received() - self._received_before

    async def open(self, whip_url: str, ready: Callable[[], Awaitable[object]] | None = None) -> None:
        """Offer, connect, and start to play; raises PublishFailed. ready: comes back once the other end is connected
        too, where that can be known."""
        address = LOOPBACK.get(urlsplit(whip_url).hostname or "")
        aiortc_internals.guard()
        with aiortc_internals.gather_on([address]) if address else nullcontext():
            await self._connection.setLocalDescription()
        answer = await self._exchange(whip_url, self._connection.localDescription.sdp)
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), CONNECT_SECONDS)
        if not self.is_connected:
            raise PublishFailed(f"No connection within {CONNECT_SECONDS:.0f} s.")
        if ready is not None:
            await ready()
        self._received_before = await self._received()
        self._starts_at.set_result(asyncio.get_running_loop().time() + SETTLE_SECONDS)
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """End the stream: no further packet, DELETE, goodbye. The counts are final afterwards; safe to call twice."""
        for track in self._tracks:
            track.finish()
        if self._watching and self.is_connected:
            await self._watching
        location, self.location = self.location, None
        if location:
            with suppress(httpx.TransportError):  # the server may be the one that went away
                await self._client.delete(location, headers=self._headers)
        await self._connection.close()
        if self._watching:
            await self._watching

    async def _exchange(self, whip_url: str, offer: str) -> str:
        headers = self._headers | {"Content-Type": "application/sdp"}
        try:
            response = await self._client.post(whip_url, content=offer, headers=headers)
        except httpx.TransportError as broken:
            raise PublishFailed(str(broken)) from broken
        if response.status_code != httpx.codes.CREATED:
            raise PublishFailed(f"{response.status_code}: {response.text[:200]}", status=response.status_code)
        self.location = urljoin(str(response.url), response.headers["Location"])
        return response.text

    async def _watch(self) -> None:
        """Set `done` in the end; every track is stopped by then, by its sender or with the connection."""
        for track in self._tracks:
            await track.ended.wait()
        if self.is_connected:
            await asyncio.sleep(REPAIR_SECONDS)
        self.done.set()

    async def _received(self) -> int:
        stats = await self._connection.getStats()
        return sum(entry.packetsReceived for entry in stats.values() if entry.type == "transport")

    def _state_changed(self) -> None:
        if self._connection.connectionState in ("connected", "failed", "closed"):
            self._settled.set()
        if self._connection.connectionState in ("failed", "closed"):
            for track in self._tracks:
                track.stop()


async def publish(
    client: httpx.AsyncClient,
    whip_url: str,
    token: str,
    video: Clip,
    audio: Clip | None = None,
    *,
    ready: Callable[[], Awaitable[object]] | None = None,
) -> Publication:
    """Publish a clip. Returns when the connection stands (and it is `ready`) and the clip begins to play; raises
    PublishFailed."""
    publication = Publication(client, token, video, audio)
    try:
        await publication.open(whip_url, ready)
    except BaseException:
        await publication.close()
        raise
    return publication
