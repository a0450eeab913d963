"""Part 2: from the end of a session to the first picture: the rest stored, the index made, the first bytes read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from app.demo import clips
from bench.figures import Figure
from bench.stored import StoredRecording
from recordings.model import TrackKind

PLAYABLE_S = 2.0
FIRST_BYTES = 100_000
SHORT_S = 20.0
LONG_S = 2 * 3600.0


def measure(folder: Path, *, lengths_s: Sequence[float] = (SHORT_S, LONG_S), repeats: int = 3) -> list[Figure]:
    """The demo's camera and voice, repeated; the short one is recorded `repeats` times, a long one once."""
    figures = []
    for length_s in lengths_s:
        times = repeats if length_s < 60 else 1
        runs = [asyncio.run(_once(folder / f"playable-{length_s:.0f}-{number}", length_s)) for number in range(times)]
        figures.append(
            Figure(
                name=f"end of session to first playable, {_spoken(length_s)}",
                unit="s",
                runs=tuple(runs),
                at_most=PLAYABLE_S,
                note="storage level: rest stored, index made, first 100 kB read",
            )
        )
    return figures


async def _once(folder: Path, length_s: float) -> float:
    recording = StoredRecording(folder)
    given = await recording.capture({TrackKind.CAMERA: clips.camera(1), TrackKind.VOICE: clips.speech(1)}, length_s)
    ended = time.monotonic()
    summary = await recording.finish()
    view = recording.view(summary)
    first = b"".join(view.read(0, FIRST_BYTES))
    seconds = time.monotonic() - ended
    kept = sum(track.frames for track in summary.tracks)
    if kept != given or len(first) != min(FIRST_BYTES, view.size):
        raise RuntimeError(f"{given} frames were recorded, {kept} are in the index")
    return seconds


def _spoken(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds:.0f} s"
