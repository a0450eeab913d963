"""Part 4: what recording costs the media process, with sealing and storing, and whether everything sent is kept.

The whole platform runs as installed; participants publish 720p by WHIP from another process. Processor time is the
media process's own clock (user and system, all threads) over steady windows.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import msgspec

from app.demo import clips
from app.demo.clips import Clip
from bench.figures import Figure
from bench.machine import OtherWork
from bench.media import encode_720p, lasting
from bench.platform import Platform, proportional_bytes
from bench.publishers import Job, Sent
from bench.room import Room, open_room

CORE_PERCENT = 2.0
PLAYABLE_S = 2.0
FIRST_BYTES = 100_000
CONNECTED_WITHIN_S = 60.0
PLAYABLE_WITHIN_S = 60.0
_PERCENT = 100.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much to publish, and how long to look."""

    people: int
    windows: int
    window_s: float
    settle_s: float = 5.0
    reserve_s: float = 2.0

    @property
    def seconds(self) -> float:
        return self.settle_s + self.windows * self.window_s + self.reserve_s


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """core_percent: of one core and per participant, one value a window; playable_s: from the owner's "end" until the
    review page's addresses play; media_mb: memory of the media process while recording (PSS);
    other_cores: what others did on the machine meanwhile."""

    core_percent: tuple[float, ...]
    sent: Sent
    kept: Sent
    playable_s: float
    media_mb: float
    other_cores: float


LOADS = (Load(people=1, windows=3, window_s=15.0), Load(people=10, windows=3, window_s=8.0))


def measure(folder: Path, *, loads: Sequence[Load] = LOADS) -> list[Figure]:
    """The target is for one participant; more at once are for information."""
    picture, voice = encode_720p(), clips.speech(1)
    platform = Platform(folder / "capture")
    try:
        platform.start()
        figures = []
        for load in loads:
            clip_pair = (lasting(picture, load.seconds), lasting(voice, load.seconds))
            figures += _figures(load, asyncio.run(record(platform, load, clip_pair, folder)))
        return figures
    finally:
        platform.stop()


def _figures(load: Load, outcome: Outcome) -> list[Figure]:
    alone, who = load.people == 1, f"N = {load.people}"
    lost = outcome.sent.frames - outcome.kept.frames, outcome.sent.audio_packets - outcome.kept.audio_packets
    return [
        Figure(
            name=f"recording one 720p participant, {who}",
            unit="% of a core",
            runs=outcome.core_percent,
            at_most=CORE_PERCENT if alone else None,
            note=f"sealed and stored; media process {outcome.media_mb:.0f} MB; "
            f"other work on the machine: {outcome.other_cores:.1f} cores",
        ),
        Figure(
            name=f"frames and audio packets not kept, {who}",
            unit="",
            runs=(float(sum(lost)),),
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


async def record(platform: Platform, load: Load, clip_pair: tuple[Clip, Clip], folder: Path) -> Outcome:
    """Record `load.people` participants and look at what was kept."""
    room = await open_room(platform.settings, load.people)
    try:
        async with _publishing(platform, room, clip_pair, folder / f"clips-{load.people}") as publishers:
            await asyncio.sleep(load.settle_s)
            media = platform.media_process()
            others = OtherWork()
            percent = [await _core_percent(media.pid, load.window_s) / load.people for _ in range(load.windows)]
            other_cores = others.cores()
            megabytes = proportional_bytes(media) / 1e6
            sent = await _all_sent(publishers, load)
            await room.lead("end")
            ended = time.monotonic()
            addresses = await _playable(room, load.people)
            playable_s = time.monotonic() - ended
        kept = [await _kept(room, address, clip_pair) for address in addresses]
    finally:
        await room.close()
    return Outcome(
        core_percent=tuple(percent),
        sent=_sum(sent),
        kept=_sum(kept),
        playable_s=playable_s,
        media_mb=megabytes,
        other_cores=other_cores,
    )


@asynccontextmanager
async def _publishing(
    platform: Platform, room: Room, clip_pair: tuple[Clip, Clip], file: Path
) -> AsyncIterator[asyncio.StreamReader]:
    """The publishers' standard output, from the moment all of them play."""
    file.write_bytes(msgspec.msgpack.encode(clip_pair))
    job = Job(whip_url=f"{platform.settings.origin}/whip", tokens=list(room.tokens), clips=str(file))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.publishers", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(msgspec.json.encode(job) + b"\n")
        said = await asyncio.wait_for(child.stdout.readline(), CONNECTED_WITHIN_S)
        if said.strip() != b"playing":
            raise RuntimeError("The publishers could not connect.")
        yield child.stdout
    finally:
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), 15)
        except TimeoutError:
            child.kill()
            await child.wait()


async def _all_sent(publishers: asyncio.StreamReader, load: Load) -> list[Sent]:
    line = await asyncio.wait_for(publishers.readline(), load.seconds + CONNECTED_WITHIN_S)
    return msgspec.json.decode(line, type=list[Sent])


async def _core_percent(pid: int, seconds: float) -> float:
    before, began = _processor_s(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return _PERCENT * (_processor_s(pid) - before) / (time.monotonic() - began)


def _processor_s(pid: int) -> float:
    """Processor time of another process in nanosecond steps: its CPU clock, clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


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
    video, audio = clip_pair
    found: dict[str, list[bytes]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(served), "r") as file:
        for packet in file.demux():
            if packet.size:
                found[packet.stream.type].append(bytes(packet))
    return Sent(frames=matching(found["video"], video), audio_packets=matching(found["audio"], audio))


def matching(found: Sequence[bytes], clip: Clip) -> int:
    """How many of the clip's packets were found, in order; whatever else was found counts against."""
    matched, at = 0, 0
    data = [packet.data for packet in clip.packets]
    for one in found:
        if one in data[at : at + 300]:
            at = data.index(one, at) + 1
            matched += 1
        else:
            matched -= 1
    return matched


def _sum(counts: Sequence[Sent]) -> Sent:
    return Sent(frames=sum(one.frames for one in counts), audio_packets=sum(one.audio_packets for one in counts))
