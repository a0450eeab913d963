"""Part 4: what recording costs the media process, with sealing and storing, and whether everything sent is kept.

The whole platform runs as installed; participants publish 720p by WHIP from another process. Processor time is the
media process's own clock (user and system, all threads) over steady windows. Beside it, in the same run: capture alone
and other recorders (bench/plane/compare.py).
"""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.demo import clips
from app.demo.clips import Clip
from bench.figures import Figure
from bench.machine import OtherWork
from bench.media import encode_720p
from bench.plane import compare, crowd, found
from bench.plane.compare import Media
from bench.plane.exchange import Job, Offer, Sent
from bench.plane.windows import core_percent
from bench.platform import Platform, resident_bytes
from bench.room import Room, open_room

ALONE_PERCENT = 2.0
CROWD_PERCENT = 0.8
PLAYABLE_S = 2.0
FIRST_BYTES = 100_000
PLAYABLE_WITHIN_S = 60.0
STAGGER_S = 2.5
"""Over which participants begin one after the other, so that their key frames do not all come at once."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much to publish, and how long to look."""

    people: int
    windows: int
    window_s: float
    settle_s: float = 4.0
    reserve_s: float = 1.0

    @property
    def seconds(self) -> float:
        return self.settle_s + self.windows * self.window_s + self.reserve_s


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """core_percent: of one core and per participant, one value a window; playable_s: from the owner's "end" until the
    review page's addresses play; media_mb: memory of the media process after each window (RSS);
    other_cores: what others did on the machine meanwhile."""

    core_percent: tuple[float, ...]
    sent: Sent
    kept: Sent
    playable_s: float
    media_mb: tuple[float, ...]
    other_cores: float


LOADS = tuple(Load(people=people, windows=3, window_s=8.0) for people in (1, 10, 30))


def measure(folder: Path) -> list[Figure]:
    """The media process as it runs, then what is compared with it."""
    media = published(folder)
    return [*whole(folder, media, LOADS), *compare.measure(folder, media)]


def published(folder: Path) -> Media:
    """One round of picture and sound, encoded now."""
    pair = encode_720p(), clips.speech(1)
    return Media(clips=pair, file=crowd.write_clips(pair, folder / "clips"))


def whole(folder: Path, media: Media, loads: Sequence[Load]) -> list[Figure]:
    """Of the whole platform under one load after the other, smallest first."""
    platform = Platform(folder / "capture")
    figures: list[Figure] = []
    try:
        platform.start()
        for load in loads:
            figures += _figures(load, asyncio.run(record(platform, load, media)), is_crowd=load is loads[-1])
    finally:
        platform.stop()
    return figures


def _figures(load: Load, outcome: Outcome, *, is_crowd: bool) -> list[Figure]:
    alone, who = load.people == 1, f"N = {load.people}"
    sent, kept = outcome.sent, outcome.kept
    return [
        Figure(
            name=f"recording one 720p participant, {who}",
            unit="% of a core",
            runs=outcome.core_percent,
            at_most=ALONE_PERCENT if alone else CROWD_PERCENT if is_crowd else None,
            note=f"sealed and stored; media process {max(outcome.media_mb):.0f} MB; "
            f"other work on the machine: {outcome.other_cores:.1f} cores",
            facts={
                "n": load.people,
                "frames_sent": sent.frames,
                "frames_kept": kept.frames,
                "audio_packets_sent": sent.audio_packets,
                "audio_packets_kept": kept.audio_packets,
            },
        ),
        Figure(
            name=f"frames and audio packets not kept, {who}",
            unit="",
            runs=(float(found.missing(sent, kept)),),
            at_most=0.0,
            note=f"{outcome.kept.frames} of {outcome.sent.frames} frames, "
            f"{outcome.kept.audio_packets} of {outcome.sent.audio_packets} packets, byte for byte",
        ),
        Figure(
            name=f"end of session to first playable, whole platform, {who}",
            unit="s",
            runs=(outcome.playable_s,),
            at_most=PLAYABLE_S if alone else None,
            note=f"{load.seconds:.0f} s recorded; first 100 kB through the review page's address",
        ),
    ]


async def record(platform: Platform, load: Load, media: Media) -> Outcome:
    """Record `load.people` participants and look at what was kept."""
    clip_pair = media.lasting(load.seconds)
    stagger_s = min(STAGGER_S, load.settle_s) if load.people > 1 else 0.0
    job = Job(peers=load.people, seconds=load.seconds, clips=media.file, stagger_s=stagger_s)
    room = await open_room(platform.settings, load.people)
    whip = f"{platform.settings.origin}/whip"
    percent: list[float] = []
    megabytes: list[float] = []

    async def publish(number: int, offer: Offer) -> str:
        headers = {"authorization": f"Bearer {room.tokens[number]}", "content-type": "application/sdp"}
        return (await client.post(whip, content=offer.sdp, headers=headers)).raise_for_status().text

    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=30) as client,
            crowd.connected("senders", job, publish) as senders,
        ):
            await asyncio.sleep(load.settle_s)
            process = platform.media_process()
            others = OtherWork()
            for _ in range(load.windows):
                percent += [value / load.people for value in await core_percent(process.pid, load.window_s)]
                megabytes.append(resident_bytes(process) / 1e6)
            other_cores = others.cores()
            sent = await crowd.all_sent(senders, job)
            await room.lead("end")
            ended = time.monotonic()
            addresses = await _playable(room, load.people)
            playable_s = time.monotonic() - ended
        kept = [await _kept(room, address, clip_pair) for address in addresses]
    finally:
        await room.close()
    return Outcome(
        core_percent=tuple(percent),
        sent=found.total(sent),
        kept=found.total(kept),
        playable_s=playable_s,
        media_mb=tuple(megabytes),
        other_cores=other_cores,
    )


async def _playable(room: Room, people: int) -> list[str]:
    """Addresses of all recordings, once the first bytes of each are served. Raises TimeoutError."""
    async with asyncio.timeout(PLAYABLE_WITHIN_S):
        while True:
            page = (await room.owner.get(f"/sessions/{room.session}/review")).text
            addresses = sorted(set(re.findall(r'"(/recordings/[0-9a-f-]{36}/media)"', page)))
            if len(addresses) == people and all([await _first_bytes(room, address) for address in addresses]):
                return addresses
            await asyncio.sleep(0.05)


async def _first_bytes(room: Room, address: str) -> bool:
    answer = await room.owner.get(address, headers={"range": f"bytes=0-{FIRST_BYTES - 1}"})
    return answer.status_code == 206 and len(answer.content) == FIRST_BYTES


async def _kept(room: Room, address: str, clip_pair: tuple[Clip, Clip]) -> Sent:
    """How many of the packets sent are served, each byte for byte and in its order."""
    served = (await room.owner.get(address)).raise_for_status().content
    return await asyncio.to_thread(found.in_file, io.BytesIO(served), clip_pair)
