"""A generated publisher over a bad network, recorded, finalised and read back: which of its frames are in the file, and
whether what is missing is exactly what the index tells of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from app.demo.clips import Clip
from recordings.capture.poller import INTERVAL_S
from recordings.index import IndexHole
from recordings.model import TrackKind
from tests.app.light_publisher import LightPublisher, SentFrame
from tests.app.loopback import until
from tests.app.node_scene import rooms
from tests.app.room_stage import allow
from tests.fixtures.bad_network import BadNetwork, Weather
from tests.recordings.scene import Played, play

CALM_S = 1.0
"""At the end of a clip, without loss: nobody can miss the very last packet of a stream."""
LATEST_REPAIR_S = 3.0
ARRIVING_TURNS = 20
"""Of the loop in which sockets are drained: what is on its way, by up to 0.1 s, has come then."""
SAME_MS = 8.0
"""A frame stands where it was sent by so much: less than half of what is between two packets of sound."""
NEAR_MS = 3.0
"""Times in the file and in the index are rounded."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One track of the finished file beside what was sent. missing, found: ms on the file's timeline; began: of the
    first frame in the file."""

    sent: int
    found: tuple[float, ...]
    missing: tuple[float, ...]
    began: float
    holes: tuple[IndexHole, ...]

    @property
    def kept(self) -> float:
        return len(self.found) / self.sent

    @property
    def never_begun(self) -> list[float]:
        """Missing before the first one that came: of sound nobody can know that there was anything."""
        return [at for at in self.missing if at < self.began]

    @property
    def kept_since_begun(self) -> float:
        return len(self.found) / (self.sent - len(self.never_begun))

    @property
    def untold(self) -> list[float]:
        """Missing, and in no hole."""
        return [
            at for at in self.missing if at > self.began and not any(_within(one, at, NEAR_MS) for one in self.holes)
        ]

    @property
    def told_in_vain(self) -> list[float]:
        """In the file, and inside a hole."""
        return [at for at in self.found if any(_within(one, at, -NEAR_MS) for one in self.holes)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    picture: Track
    sound: Track
    packets_lost: int


async def recorded(
    folder: Path, clips: tuple[Clip, Clip], weather: Weather, *, seconds: float, seed: int, repairs: bool = True
) -> Outcome:
    """Picture and sound for so long through the weather, and what the finished file has of them. repairs: whether the
    sender sends again what is asked for."""
    calm = Weather(delay_s=weather.delay_s, jitter_s=weather.jitter_s)
    async with BadNetwork(weather, seed=seed) as network, rooms(folder) as scene:
        publisher = LightPublisher(*clips, repairs=repairs)
        ask = scene.ask("")

        async def answer_to(offer: str) -> str:
            return network.between((await scene.rooms.publish(scene.ask(offer, like=ask))).sdp)

        def is_over(at_s: float) -> bool:
            if at_s > seconds - CALM_S:
                network.weather = calm
            return at_s > seconds

        try:
            await publisher.connect(answer_to)
            await until(lambda: scene.stream(ask).connected, "the connection")
            scene.rooms.permit(ask.session, allow(ask))
            starts_at = time.time() + 0.2
            await publisher.play(starts_at, is_over)
            for _ in range(ARRIVING_TURNS):
                await asyncio.sleep(INTERVAL_S)
            sent = dict(zip((TrackKind.CAMERA, TrackKind.VOICE), map(len, publisher.sent), strict=True))
            if repairs:
                with suppress(AssertionError):  # what never comes is found in the file
                    await until(
                        lambda: all(scene.kept(ask, kind) == count for kind, count in sent.items()),
                        "what is still asked for",
                        LATEST_REPAIR_S,
                    )
            await scene.rooms.end(scene.rooms.streams[0].ask.resource)
        finally:
            await publisher.close()
        finished = await scene.finished(ask)
        played = play(finished.file)
        holes = {track.kind: track.holes for track in finished.index.tracks}
        picture, sound = publisher.sent
        began_ms = 1000 * (starts_at - finished.index.started_at)
        return Outcome(
            picture=beside(picture, began_ms, played["video"], holes[TrackKind.CAMERA]),
            sound=beside(sound, began_ms, played["audio"], holes[TrackKind.VOICE]),
            packets_lost=network.lost,
        )


def beside(sent: Sequence[SentFrame], began_ms: float, played: Sequence[Played], holes: tuple[IndexHole, ...]) -> Track:
    """Frames are the same if their bytes are and they stand where they were sent. began_ms: where in the file the clip
    began, but for the time of a packet's way; what most frames agree on is right."""
    times: dict[bytes, list[float]] = {}
    for frame in sent:
        times.setdefault(frame.data, []).append(began_ms + 1000 * frame.at_s)
    late = median(min((one.at_ms - at for at in times[one.data]), key=abs) for one in played if one.data in times)
    in_file: dict[bytes, list[int]] = {}
    for one in played:
        in_file.setdefault(one.data, []).append(one.at_ms)
    due = [(began_ms + late + 1000 * frame.at_s, in_file.get(frame.data, ())) for frame in sent]
    is_there = [any(abs(at_ms - at) <= SAME_MS for at_ms in candidates) for at, candidates in due]
    return Track(
        sent=len(sent),
        found=tuple(at for (at, _), there in zip(due, is_there, strict=True) if there),
        missing=tuple(at for (at, _), there in zip(due, is_there, strict=True) if not there),
        began=played[0].at_ms,
        holes=holes,
    )


def _within(hole: IndexHole, at_ms: float, margin_ms: float) -> bool:
    return hole.from_ms - margin_ms <= at_ms < hole.to_ms + margin_ms
