"""What comes in from outside: frames of a camera and a voice, and a speech model that always hears one word."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from recordings.capture.recorder import StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.model import Frame, TrackKind
from tests.recordings.scene import pictures, sounds
from workers.speech import Cue, Heard, HeardUntil, Samples, Word, nothing

HEARD = "saffronkettlemeridian"  # long, so that no chance bytes of a log spell a piece of its base64


class Listener:
    """The speech model at its port: hears, and says that it heard one word."""

    country = "DE"

    def __init__(self, heard: list[Samples], meanwhile: Callable[[], None] = lambda: None) -> None:
        self.name = "listener"
        self._heard, self._meanwhile = heard, meanwhile

    def hear(self, samples: Samples, *, start_ms: int, language: str, heard_until: HeardUntil = nothing) -> Heard:
        self._heard.append(samples)
        self._meanwhile()
        word = Word(start_ms=start_ms + 100, end_ms=start_ms + 400, text=HEARD)
        cue = Cue(start_ms=word.start_ms, end_ms=word.end_ms, text=HEARD, words=(word,))
        return Heard(cues=(cue,), speech=((cue.start_ms, cue.end_ms),))


@dataclass
class Clock:
    """Server time of generated media; nothing waits for it."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now

    def send(self, recorder: StreamRecorder, kinds: Iterable[TrackKind], seconds: float) -> list[Frame]:
        """Frames of all kinds in the order of their arrival, as the network brings them."""
        start = self.now
        frames = sorted((f for kind in kinds for f in frames_of(kind, start, seconds)), key=lambda f: f.arrived_at)
        for frame in frames:
            self.now = frame.arrived_at
            recorder.tick(self.now)
            recorder.frame(frame)
        self.now = start + seconds
        recorder.tick(self.now)
        return frames


def frames_of(kind: TrackKind, start: float, seconds: float) -> Iterator[Frame]:
    """VP8 at 30 and Opus at 50 frames per second, with a key frame first."""
    per_second = 30 if kind.is_video else 50
    video, sound = pictures(), sounds()
    first = round((start % 100_000_000) * kind.clock_rate)
    for number in range(round(seconds * per_second)):
        data, key = video[number % len(video)] if kind.is_video else (sound[number % len(sound)], True)
        yield Frame(
            kind=kind,
            ticks=first + number * kind.clock_rate // per_second,
            data=data,
            key=key,
            arrived_at=start + number / per_second,
            width=64 if key and kind.is_video else 0,
            height=48 if key and kind.is_video else 0,
        )


async def store_all(uploader: Uploader, spool: Spool) -> None:
    while spool.waiting().ready:
        before = spool.waiting()
        await uploader.round()
        assert spool.waiting() != before, "the store takes nothing"
