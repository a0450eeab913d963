"""Real aiortc peers on 127.0.0.1 for tests of the room: a browser's stand-in that publishes or views."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from app.room import peer
from recordings.capture import aiortc_internals
from recordings.model import Frame, Hole, SenderReport, StreamKind, TrackKind

HERE = ("127.0.0.1",)
BOTH = frozenset({TrackKind.CAMERA, TrackKind.VOICE})


@dataclass
class Collected:
    """A sink that keeps everything."""

    frames: list[Frame] = field(default_factory=list)
    reports: list[SenderReport] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)

    def frame(self, frame: Frame) -> None:
        self.frames.append(frame)

    def sender_report(self, report: SenderReport) -> None:
        self.reports.append(report)

    def hole(self, hole: Hole) -> None:
        self.holes.append(hole)

    def of(self, kind: TrackKind) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind is kind]


class Camera(MediaStreamTrack):
    """Small moving pictures, encoded by aiortc (so PLI is obeyed), 30 a second."""

    kind = "video"

    def __init__(self, width: int = 160, height: int = 120) -> None:
        super().__init__()
        self._size = (height, width, 3)
        self.count = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / 30)
        picture = numpy.full(self._size, self.count * 7 % 255, dtype=numpy.uint8)
        picture[:, self.count % self._size[1] :: 16] = 255
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self.count * 3000, Fraction(1, 90_000)
        self.count += 1
        return frame


class Encoded(MediaStreamTrack):
    """Pictures that were encoded before, 30 a second: what a device does that obeys no wish for a key frame."""

    kind = "video"

    def __init__(self, pictures: Sequence[bytes]) -> None:
        super().__init__()
        self._pictures = pictures
        self.count = 0

    async def recv(self) -> av.Packet:  # type: ignore[override]
        await asyncio.sleep(1 / 30)
        packet = av.Packet(self._pictures[self.count % len(self._pictures)])
        packet.pts, packet.time_base = self.count * 3000, Fraction(1, 90_000)
        self.count += 1
        return packet


class Voice(MediaStreamTrack):
    """A tone in frames of 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0.02)
        time = numpy.arange(self.count * 960, (self.count + 1) * 960) / 48_000
        tone = (numpy.sin(time * 2 * numpy.pi * 440) * 8_000).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self.count * 960, Fraction(1, 48_000)
        self.count += 1
        return frame


async def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Waits for a fact; fails with its name."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not come: {what}") from None


def client() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def offer_of(pc: RTCPeerConnection) -> str:
    aiortc_internals.guard()
    with aiortc_internals.gather_on(HERE):
        await pc.setLocalDescription()
    sdp: str = pc.localDescription.sdp
    return sdp


async def accept(pc: RTCPeerConnection, answer: str) -> None:
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))


@dataclass
class Published:
    """The client's and the server's side of one publication."""

    pc: RTCPeerConnection
    publication: peer.Publication
    sink: Collected
    camera: MediaStreamTrack
    voice: Voice
    ends: list[peer.Ended] = field(default_factory=list)


async def offering(
    codec: str = "", camera: MediaStreamTrack | None = None
) -> tuple[RTCPeerConnection, MediaStreamTrack, Voice, str]:
    """codec: the only one offered for video; all that aiortc knows without."""
    pc, camera, voice = client(), camera or Camera(), Voice()
    pc.addTrack(camera)
    pc.addTrack(voice)
    only(pc, codec)
    return pc, camera, voice, await offer_of(pc)


def only(pc: RTCPeerConnection, codec: str) -> None:
    """Leaves one codec, and its repairs, to the video of a peer."""
    if codec:
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video = next(one for one in pc.getTransceivers() if one.kind == "video")
        video.setCodecPreferences([one for one in codecs if one.name in (codec, "rtx")])


@asynccontextmanager
async def published(
    *,
    codec: str = "",
    camera: MediaStreamTrack | None = None,
    change_offer: Callable[[str], str] = str,
    change_answer: Callable[[str], str] = str,
    before_answer: Callable[[RTCPeerConnection], object] = lambda pc: None,
) -> AsyncIterator[Published]:
    """A client publishing camera and voice; everything is closed afterwards."""
    pc, camera, voice, offer = await offering(codec, camera)
    sink = Collected()
    publication = await publish(change_offer(offer), sink=sink)
    scene = Published(pc=pc, publication=publication, sink=sink, camera=camera, voice=voice)
    publication.on_closed = scene.ends.append
    try:
        before_answer(pc)
        await accept(pc, change_answer(publication.answer_sdp))
        yield scene
    finally:
        await pc.close()
        await publication.close()


async def publish(offer: str, kinds: frozenset[TrackKind] = BOTH, sink: Collected | None = None) -> peer.Publication:
    """The server's side alone."""
    return await peer.publish(
        offer, kinds=kinds, stream=StreamKind.CAMERA, offer_addresses=HERE, sink=sink or Collected()
    )


class Network:
    """What lies between a client and the server: loses a share of the media the client sends."""

    def __init__(self, pc: RTCPeerConnection, *, share: float = 0.0, first: int = 0) -> None:
        self.share = share
        self.lost = 0
        self._first = first
        self._chance = random.Random(1)
        self._transport = pc.getTransceivers()[0].receiver.transport.transport
        self._through, self._transport._send = self._transport._send, self._send

    async def _send(self, data: bytes) -> None:
        is_media = 127 < data[0] < 192 and not 192 <= data[1] <= 223
        if is_media and (self.lost < self._first or self._chance.random() < self.share):
            self.lost += 1
        else:
            await self._through(data)


def decoded(frames: list[Frame]) -> list[av.VideoFrame]:
    """Every frame through a real decoder; raises on the first that cannot be decoded."""
    setup = frames[0].setup
    context = av.CodecContext.create(setup.codec if setup else "vp8", "r")
    if setup:
        context.extradata = setup.private
    pictures = [picture for frame in frames for picture in context.decode(av.Packet(frame.data))]
    return pictures + list(context.decode(None))


@dataclass
class Watching:
    """The client's and the server's side of one viewing, with what the client decoded."""

    pc: RTCPeerConnection
    viewing: peer.Viewing
    pictures: list[av.VideoFrame] = field(default_factory=list)
    sounds: list[av.AudioFrame] = field(default_factory=list)
    ends: list[peer.Ended] = field(default_factory=list)


@asynccontextmanager
async def watching(publication: peer.Publication) -> AsyncIterator[Watching]:
    """A client viewing picture and sound, decoding both."""
    pc = client()
    pc.addTransceiver("video", direction="recvonly")
    pc.addTransceiver("audio", direction="recvonly")
    viewing = await peer.view(await offer_of(pc), source=publication, offer_addresses=HERE)
    scene = Watching(pc=pc, viewing=viewing)
    viewing.on_closed = scene.ends.append

    async def watch(track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                (scene.pictures if track.kind == "video" else scene.sounds).append(await track.recv())

    watchers = []
    pc.on("track", lambda track: watchers.append(asyncio.ensure_future(watch(track))))
    try:
        await accept(pc, viewing.answer_sdp)
        yield scene
    finally:
        for watcher in watchers:
            watcher.cancel()
        await pc.close()
        await viewing.close()
