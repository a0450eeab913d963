"""The receive path beside other recorders, under the same load in the same run.

    capture alone    this product's receive path, frames in clear into files: the work that the others do
    Janus            VideoRoom with `record`, when the package is installed
    MediaRecorder    aiortc's own, which encodes anew; one participant is all that it carries

What is sealed and stored is measured in bench/capture.py, by two processes at once in bench/nodes.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Protocol

import av

from app.demo.clips import Clip
from bench.figures import Figure
from bench.media import FRAMES_PER_SECOND, lasting
from bench.plane import crowd, found
from bench.plane.exchange import Job, Offer, Sent
from bench.plane.janus import installed, janus
from bench.plane.windows import core_percent

CAPTURE_PERCENT = 0.40
OF_JANUS = 0.9
OF_MEDIA_RECORDER = 300.0
VIEW_PERCENT = 0.5
CROWDS = (1, 10, 30)
VIEWERS = 10


@dataclass(frozen=True, kw_only=True)
class Look:
    """How long to look. lead_s: until all senders send; trail_s: what they send after the last window."""

    windows: int = 3
    window_s: float = 8.0
    lead_s: float = 3.0
    trail_s: float = 1.0

    @property
    def seconds(self) -> float:
        return self.lead_s + self.windows * self.window_s + self.trail_s


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Of one server under one load. percent: of a core, per participant, one value a window."""

    people: int
    percent: tuple[float, ...]
    sent: Sent
    kept: Sent

    @property
    def lost(self) -> int:
        return found.missing(self.sent, self.kept)

    @property
    def facts(self) -> dict[str, float]:
        return {
            "n": self.people,
            "frames_sent": self.sent.frames,
            "frames_kept": self.kept.frames,
            "audio_packets_sent": self.sent.audio_packets,
            "audio_packets_kept": self.kept.audio_packets,
            "key_frames_sent_on_request": self.sent.rewinds,
        }

    @property
    def told(self) -> str:
        return (
            f"{self.kept.frames} of {self.sent.frames} frames, "
            f"{self.kept.audio_packets} of {self.sent.audio_packets} packets kept"
        )


class Measured(Protocol):
    """A server: where its process clock is, and how it answers."""

    pid: int

    async def answer(self, number: int, offer: Offer) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Media:
    """What is published. file: one round of it, for the senders."""

    clips: tuple[Clip, Clip]
    file: str

    def lasting(self, seconds: float) -> tuple[Clip, Clip]:
        return lasting(self.clips[0], seconds), lasting(self.clips[1], seconds)

    def job(self, people: int, look: Look, address: str = "127.0.0.1") -> Job:
        stagger_s = min(look.lead_s - 0.5, 2.5) if people > 1 else 0.0
        return Job(peers=people, seconds=look.seconds, clips=self.file, stagger_s=stagger_s, address=address)


def measure(folder: Path, media: Media, *, crowds: Sequence[int] = CROWDS, look: Look | None = None) -> list[Figure]:
    return asyncio.run(_measure(folder, media, crowds, look or Look()))


async def _measure(folder: Path, media: Media, crowds: Sequence[int], look: Look) -> list[Figure]:
    figures: list[Figure] = []
    version, most = installed(), max(crowds)
    for people in sorted(crowds):  # the last is the largest
        ours, theirs = await in_turn(folder / f"{people}", media, people, look, with_janus=bool(version))
        figures += _of_ours(ours, most)
        if theirs and version:
            figures.append(_of_janus(theirs, version))
            figures.append(_ratio_to_janus(ours, theirs, version, most))
    if not version:
        figures.append(Figure(name="Janus VideoRoom", unit="", runs=(0.0,), note="not installed: not measured"))
    stock = [await media_recorder(folder, media, look.window_s) for _ in range(look.windows)]
    figures += _of_media_recorder(stock, ours, look)
    figures.append(await forwarding(folder / "views", media, look))
    return figures


async def in_turn(folder: Path, media: Media, people: int, look: Look, *, with_janus: bool) -> tuple[Seen, Seen | None]:
    """A window of ours, one of Janus's, and again, each of a server of its own: what else the machine does in these
    minutes meets both alike."""
    folder.mkdir()
    short = replace(look, windows=1)
    ours, theirs = [], []
    for turn in range(look.windows):
        ours.append(await capture_alone(folder / f"plain-{turn}", media, people, short))
        if with_janus:
            theirs.append(await of_janus(folder / f"janus-{turn}", media, people, short))
    return _together(ours), _together(theirs) if theirs else None


async def capture_alone(folder: Path, media: Media, people: int, look: Look) -> Seen:
    folder.mkdir()
    async with crowd.server("receiver", "plain", str(folder)) as server:
        percent, sent = await under_load(server, media.job(people, look), look)
        await server.finish()
    return await _seen(percent, sent, found.in_folder, folder, media, look)


async def of_janus(folder: Path, media: Media, people: int, look: Look) -> Seen:
    folder.mkdir()
    async with janus(folder) as server:
        percent, sent = await under_load(server, media.job(people, look, server.address), look)
    return await _seen(percent, sent, found.in_janus_folder, server.recorded, media, look)


async def media_recorder(folder: Path, media: Media, seconds: float) -> tuple[float, int, int]:
    """Percent of a core it takes for one participant, until the file is finished: live it falls behind. How many
    pictures are in the file, and how many key frames it asked for and got."""
    file = folder / "stock.webm"
    job = Job(peers=1, seconds=seconds, clips=media.file)
    async with crowd.server("stock", str(file)) as server:
        async with crowd.connected("senders", job, server.answer) as senders:
            (sent,) = await crowd.all_sent(senders, job)
        used = (await server.finish()).processor_s
    with av.open(str(file), "r") as opened:
        pictures = sum(packet.size > 0 for packet in opened.demux(video=0))
    return 100 * used / seconds, pictures, sent.rewinds


async def forwarding(folder: Path, media: Media, look: Look, *, viewers: int = VIEWERS) -> Figure:
    """One publisher's stream to so many: what each adds."""
    folder.mkdir()
    longer = Look(windows=2 * look.windows, window_s=look.window_s, lead_s=look.lead_s, trail_s=look.trail_s + 5)
    job = media.job(1, longer)
    viewing = Job(peers=viewers, seconds=look.windows * look.window_s)

    async def viewed(number: int, offer: Offer) -> str:
        return await server.answer(number, Offer(sdp=offer.sdp, viewed=0))

    async with crowd.server("receiver", "plain", str(folder)) as server:
        async with crowd.connected("senders", job, server.answer) as senders:
            await asyncio.sleep(look.lead_s)
            without = await core_percent(server.pid, look.window_s, look.windows)
            async with crowd.connected("viewers", viewing, viewed) as watching:
                with_them = await core_percent(server.pid, look.window_s, look.windows)
                packets = await watching.hear(list[int], crowd.CONNECTED_WITHIN_S)
            await crowd.all_sent(senders, job)
    each = tuple((busy - idle) / viewers for busy, idle in zip(sorted(with_them), sorted(without), strict=True))
    return Figure(
        name="forwarding, per viewed stream",
        unit="% of a core",
        runs=each,
        at_most=VIEW_PERCENT,
        note=f"one 720p publisher, {viewers} viewers; each got {min(packets) / viewing.seconds:.0f} packets a second",
        facts={"viewers": viewers, "packets_per_second": round(min(packets) / viewing.seconds, 1)},
    )


async def under_load(server: Measured, job: Job, look: Look) -> tuple[tuple[float, ...], list[Sent]]:
    """Percent of a core per participant, one value a window; what each of them has sent in the end."""
    async with crowd.connected("senders", job, server.answer) as senders:
        await asyncio.sleep(look.lead_s)
        percent = await core_percent(server.pid, look.window_s, look.windows)
        sent = await crowd.all_sent(senders, job)
    return tuple(value / job.peers for value in percent), sent


async def _seen(
    percent: tuple[float, ...],
    sent: Sequence[Sent],
    count: Callable[[Path, tuple[Clip, Clip]], list[Sent]],
    folder: Path,
    media: Media,
    look: Look,
) -> Seen:
    kept = await asyncio.to_thread(count, folder, media.lasting(look.seconds))
    return Seen(people=len(sent), percent=percent, sent=found.total(sent), kept=found.total(kept))


def _together(turns: Sequence[Seen]) -> Seen:
    return Seen(
        people=turns[0].people,
        percent=tuple(value for one in turns for value in one.percent),
        sent=found.total([one.sent for one in turns]),
        kept=found.total([one.kept for one in turns]),
    )


def _of_ours(seen: Seen, most: int) -> list[Figure]:
    return [
        Figure(
            name=f"capture alone, N = {seen.people}",
            unit="% of a core",
            runs=seen.percent,
            at_most=CAPTURE_PERCENT if seen.people == most else None,
            note="per participant, in clear into files",
            facts=seen.facts,
        ),
        Figure(
            name=f"not kept by capture alone, N = {seen.people}",
            unit="",
            runs=(float(seen.lost),),
            at_most=0.0,
            note=seen.told,
        ),
    ]


def _of_janus(seen: Seen, version: str) -> Figure:
    return Figure(
        name=f"Janus VideoRoom recording, N = {seen.people}",
        unit="% of a core",
        runs=seen.percent,
        note=f"janus {version}; {seen.told}",
        facts=seen.facts,
    )


def _ratio_to_janus(ours: Seen, theirs: Seen, version: str, most: int) -> Figure:
    return Figure(
        name=f"capture alone, of Janus, N = {ours.people}",
        unit="x",
        runs=tuple(one / other for one, other in zip(ours.percent, theirs.percent, strict=True)),
        at_most=OF_JANUS if ours.people == most else None,
        note=f"janus {version}, window by window in turn",
    )


def _of_media_recorder(stock: Sequence[tuple[float, int, int]], ours: Seen, look: Look) -> list[Figure]:
    percent = tuple(one for one, _, _ in stock)
    pictures, sent = min(number for _, number, _ in stock), round(look.window_s * FRAMES_PER_SECOND)
    rewinds = max(number for _, _, number in stock)
    ratio = median(percent) / median(ours.percent)
    return [
        Figure(
            name="aiortc MediaRecorder, webm, N = 1",
            unit="% of a core",
            runs=percent,
            note=f"until its file is finished; {pictures} of {sent} pictures in it, encoded anew; it asked for a key "
            f"frame and got it {rewinds} times",
            facts={"n": 1, "frames_sent": sent, "frames_kept": pictures, "key_frames_sent_on_request": rewinds},
        ),
        Figure(
            name=f"capture alone is cheaper than MediaRecorder, N = {ours.people} to 1",
            unit="x",
            runs=(ratio,),
            at_least=OF_MEDIA_RECORDER,
            note="medians of this run",
        ),
    ]
