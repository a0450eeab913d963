"""What is kept when Chromium sends over a network that loses, delays, reorders, narrows and breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Page

from app.room import peer
from recordings.model import StreamKind, TrackKind
from tests.app.loopback import BOTH, HERE, Collected, until
from tests.fixtures.bad_network import BadNetwork, Weather
from tests.journeys.browser import chromium

pytestmark = pytest.mark.timeout(400)

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
OPUS_FRAME = 960

PUBLISH = """async (bits) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [640, 360];
  const draw = canvas.getContext("2d");
  let n = 0;
  setInterval(() => {
    n += 1;
    for (let i = 0; i < 60; i++) {
      draw.fillStyle = `hsl(${(n * 7 + i * 31) % 360} 80% 50%)`;
      draw.fillRect((i * 97 + n * 5) % 640, (i * 53 + n * 3) % 360, 60, 40);
    }
  }, 33);
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const out = audio.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  const pc = (window.pc = new RTCPeerConnection());
  pc.addTransceiver(canvas.captureStream(30).getVideoTracks()[0], {
    direction: "sendonly",
    sendEncodings: [{ maxBitrate: bits, maxFramerate: 30 }],
  });
  pc.addTransceiver(out.stream.getAudioTracks()[0], { direction: "sendonly" });
  await pc.setLocalDescription(await pc.createOffer());
  while (pc.iceGatheringState !== "complete") {
    await new Promise((done) => pc.addEventListener("icegatheringstatechange", done, { once: true }));
  }
  await pc.setRemoteDescription({ type: "answer", sdp: await window.answer(pc.localDescription.sdp) });
}"""

STOP = "async () => void (await Promise.all(pc.getSenders().map((one) => one.replaceTrack(null))))"
TARGET = """async () => {
  let bits = 0;
  (await pc.getStats()).forEach((one) => {
    if (one.type === "outbound-rtp" && one.kind === "video") bits = one.targetBitrate ?? 0;
  });
  return bits;
}"""
SENT = """async () => {
  const sent = {};
  (await pc.getStats()).forEach((one) => {
    if (one.type === "outbound-rtp") sent[one.kind] = one.kind === "video" ? one.framesSent : one.packetsSent;
  });
  return sent;
}"""


@dataclass(kw_only=True)
class Sending:
    page: Page
    publication: peer.Publication
    sink: Collected

    async def stop(self) -> int:
        """Nothing more is sent; the number of video frames that were."""
        await self.page.evaluate(STOP)
        sent: dict[str, Any] = await self.page.evaluate(SENT)
        return int(sent["video"])

    async def target(self) -> float:
        """Bits per second that the picture is being encoded to."""
        return float(await self.page.evaluate(TARGET))

    def seconds(self) -> float:
        """Length of the picture so far."""
        frames = self.sink.of(CAMERA)
        return (frames[-1].ticks - frames[0].ticks) / CAMERA.clock_rate if frames else 0.0

    def sound_kept(self) -> float:
        """Share of the sound's own timeline that was kept."""
        frames = self.sink.of(VOICE)
        return len(frames) / ((frames[-1].ticks - frames[0].ticks) / OPUS_FRAME + 1)


@asynccontextmanager
async def sending(network: BadNetwork, *, bits: int = 600_000) -> AsyncIterator[Sending]:
    """Chromium publishing a moving picture and a tone through `network`."""
    sink = Collected()
    made: list[peer.Publication] = []

    async def answer(offer: str) -> str:
        publication = await peer.publish(offer, kinds=BOTH, stream=StreamKind.CAMERA, offer_addresses=HERE, sink=sink)
        made.append(publication)
        return network.between(publication.answer_sdp)

    async with chromium() as browser:
        page = await browser.new_page()
        await page.expose_function("answer", answer)
        await page.evaluate(PUBLISH, bits)
        await until(lambda: sink.of(CAMERA), "the picture arrives", 60)
        try:
            yield Sending(page=page, publication=made[0], sink=sink)
        finally:
            await made[0].close()


@pytest.mark.parametrize(
    "loss, delay_s, picture, sound",
    [
        pytest.param(0.05, 0.02, 0.999, 0.995, id="5 % at 20 ms"),
        pytest.param(0.10, 0.10, 0.99, 0.98, id="10 % at 100 ms"),
    ],
)
async def test_what_the_network_loses_is_kept_all_the_same(
    loss: float, delay_s: float, picture: float, sound: float
) -> None:
    async with (
        BadNetwork(Weather(loss=loss, delay_s=delay_s, jitter_s=0.005)) as network,
        sending(network) as sender,
    ):
        await until(lambda: sender.seconds() > 7, "seven seconds of picture", 120)
        network.weather = Weather(delay_s=delay_s, jitter_s=0.005)  # nobody can miss the very last packet of a stream
        lossless = sender.seconds() + 0.3
        await until(lambda: sender.seconds() > lossless, "the end of the last loss", 60)
        sent = await sender.stop()
        await until(lambda: len(sender.sink.of(CAMERA)) >= int(picture * sent), f"{picture} of {sent} frames", 60)
        assert network.lost >= 5  # of 350 packets of sound alone, however few pictures a busy machine makes
        assert sender.sound_kept() >= sound
        missing = [hole for hole in sender.sink.holes if hole.kind is VOICE]
        assert sender.sound_kept() == 1.0 or missing, "a hole nobody was told of"


async def test_a_narrow_upload_is_filled_and_not_flooded() -> None:
    """With loss alone as a sign, Chromium and our asking again drove each other to ten times what the way carries."""
    weather = Weather(delay_s=0.02, bits_per_second=500_000)
    async with BadNetwork(weather) as network, sending(network, bits=2_500_000) as sender:
        await until(lambda: sender.seconds() > 8, "it has settled", 120)
        lost, passed, bits, before = network.lost, network.passed, network.bits, sender.seconds()
        await until(lambda: sender.seconds() > before + 6, "the picture goes on", 120)
        lost, passed = network.lost - lost, network.passed - passed
        assert lost <= 0.02 * (lost + passed)
        await until(
            lambda: network.bits - bits > 250_000 * (sender.seconds() - before),
            "more than half of the way is used",
            120,
        )


async def test_after_a_cut_the_same_stream_goes_on_with_its_true_timeline() -> None:
    async with BadNetwork(Weather(delay_s=0.02)) as network, sending(network) as sender:
        await until(lambda: sender.seconds() > 2, "two seconds of picture", 60)
        clock = asyncio.get_running_loop().time
        before, seconds, cut_at = len(sender.sink.of(CAMERA)), sender.seconds(), clock()
        network.cut = True
        await asyncio.sleep(4)  # the length of the cut is what this is about
        network.cut = False

        def is_back() -> bool:
            """And at its time: closed up it would lag the length of the cut behind for ever."""
            on_time = sender.seconds() - seconds > clock() - cut_at - 3
            return on_time and len(sender.sink.of(CAMERA)) > before + 30

        await until(is_back, "the picture comes back", 90)
        frames = sender.sink.of(CAMERA)
        ticks = [frame.ticks for frame in frames]
        assert ticks == sorted(ticks)
        assert sender.publication.state is peer.PeerState.CONNECTED
        longest = max(later - earlier for earlier, later in pairwise(ticks)) / CAMERA.clock_rate
        holes = [hole for hole in sender.sink.holes if hole.kind is CAMERA]
        assert longest < 1 or any((hole.to_ticks - hole.from_ticks) / CAMERA.clock_rate > 1 for hole in holes)
