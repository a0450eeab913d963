"""The synthetic participant against the room's real peer: everything that is counted as sent arrives."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import httpx
import pytest

from app.demo import clips
from app.demo.clips import Clip
from app.demo.publisher import ClipTrack, PublishFailed, publish
from app.room import peer
from recordings.model import Frame, StreamKind, TrackKind
from tests.app.loopback import BOTH, HERE, Collected, until

if TYPE_CHECKING:
    from av import Packet
    from av.stream import Stream

WHIP = "http://127.0.0.1:8000/whip"


@dataclass
class WhipEndpoint:
    """WHIP without a web server: the HTTP exchange in memory, the media over real sockets."""

    sink: Collected = field(default_factory=Collected)
    requests: list[httpx.Request] = field(default_factory=list)
    peers: list[peer.Publication] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "DELETE":
            await self.peers[0].close()
            return httpx.Response(200)
        receiving = await peer.publish(
            request.content.decode(), kinds=BOTH, stream=StreamKind.CAMERA, offer_addresses=HERE, sink=self.sink
        )
        self.peers.append(receiving)
        headers = {"Location": "/whip/abc", "Content-Type": "application/sdp"}
        return httpx.Response(201, text=receiving.answer_sdp, headers=headers)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self))


def first_seconds(clip: Clip, seconds: float) -> Clip:
    return replace(clip, packets=tuple(p for p in clip.packets if p.ticks < seconds * clip.clock_hz))


def ticks_from_first(frames: list[Frame]) -> list[int]:
    return [frame.ticks - frames[0].ticks for frame in frames]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds after its time each packet was handed over: on a busy machine, many."""
    found: list[float] = []
    recv = ClipTrack.recv

    async def noted(track: ClipTrack) -> "Packet[Stream]":
        packet = await recv(track)
        due = track._starts_at.result() + float(packet.pts * packet.time_base)
        found.append(asyncio.get_running_loop().time() - due)
        return packet

    monkeypatch.setattr(ClipTrack, "recv", noted)
    return found


async def test_a_clip_arrives_whole_unchanged_and_in_step(late: list[float]):
    endpoint = WhipEndpoint()
    video, audio = first_seconds(clips.camera(1), 2.5), first_seconds(clips.speech(1), 2.5)
    publication = await publish(endpoint.client(), WHIP, "token", video, audio)
    await until(publication.done.is_set, "the end of the clip")
    answered = await publication.packets_answered()
    await publication.close()

    pictures, voice = endpoint.sink.of(TrackKind.CAMERA), endpoint.sink.of(TrackKind.VOICE)
    assert [frame.data for frame in pictures] == [packet.data for packet in video.packets]
    assert [frame.data for frame in voice] == [packet.data for packet in audio.packets]
    assert publication.frames_sent == len(pictures) == 75
    assert publication.audio_packets_sent == len(voice)
    assert endpoint.sink.holes == []
    assert ticks_from_first(pictures) == [packet.ticks for packet in video.packets]
    assert ticks_from_first(voice) == [packet.ticks + 312 for packet in audio.packets]
    assert answered > 0

    # where each track's clip time 0 lies on the sender's clock; a report is as late as the packet it speaks of
    zero_of_video = min(r.ntp - (r.ticks - pictures[0].ticks) / 90_000 for r in reports(endpoint, TrackKind.CAMERA))
    zero_of_audio = min(r.ntp - (r.ticks - voice[0].ticks - 312) / 48_000 for r in reports(endpoint, TrackKind.VOICE))
    assert zero_of_video == pytest.approx(zero_of_audio, abs=0.1 + max(late))


def reports(endpoint: WhipEndpoint, kind: TrackKind):
    return [report for report in endpoint.sink.reports if report.kind is kind]


async def test_closing_in_the_middle_still_counts_exactly_and_deletes_the_resource():
    endpoint = WhipEndpoint()
    publication = await publish(endpoint.client(), WHIP, "token", clips.camera(2), clips.speech(2))
    await until(lambda: publication.frames_sent >= 20, "the first frames")
    await publication.close()
    await publication.close()

    assert publication.done.is_set()
    assert publication.frames_sent == len(endpoint.sink.of(TrackKind.CAMERA)) < 1200
    assert publication.audio_packets_sent == len(endpoint.sink.of(TrackKind.VOICE)) < 2001
    assert [(r.method, str(r.url)) for r in endpoint.requests] == [
        ("POST", WHIP),
        ("DELETE", "http://127.0.0.1:8000/whip/abc"),
    ]
    assert {r.headers["Authorization"] for r in endpoint.requests} == {"Bearer token"}


async def test_a_server_that_goes_away_ends_the_publication():
    endpoint = WhipEndpoint()
    publication = await publish(endpoint.client(), WHIP, "token", clips.camera(1))
    await until(lambda: publication.frames_sent >= 5, "the first frames")
    await endpoint.peers[0].close()
    await until(publication.done.is_set, "the publication noticing")
    assert not publication.is_connected
    await publication.close()


async def test_only_vp8_and_opus_are_offered():
    endpoint = WhipEndpoint()
    publication = await publish(endpoint.client(), WHIP, "token", clips.camera(1), clips.speech(1))
    await publication.close()
    offer = endpoint.requests[0].content.decode()
    codecs = {line.split(" ")[1].split("/")[0] for line in offer.splitlines() if line.startswith("a=rtpmap:")}
    assert codecs == {"VP8", "rtx", "opus"}


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


@pytest.mark.parametrize(
    ("answer", "status", "retry"),
    [
        (lambda request: httpx.Response(403, text="not consented"), 403, False),
        (lambda request: httpx.Response(503), 503, True),
        (unreachable, None, True),
    ],
)
async def test_a_refusal_is_told_and_leaves_nothing_open(
    answer: Callable[[httpx.Request], httpx.Response], status: int | None, retry: bool
):
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    with pytest.raises(PublishFailed) as refused:
        await publish(client, WHIP, "token", clips.camera(1))
    assert (refused.value.status, refused.value.retry) == (status, retry)
