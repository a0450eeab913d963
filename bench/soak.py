"""A long recording in real time: does the media process grow? Not part of a whole run: BENCH_ARGS="soak"."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import linear_regression, median

from bench.capture import Load, published, record
from bench.figures import Figure
from bench.plane import found
from bench.platform import Platform

PEOPLE = 2
WINDOW_S = 30.0
WARM_WINDOWS = 4
"""Left out of the slope: pools and caches fill first."""
SLOPE_MB_PER_HOUR = 4.0


def measure(folder: Path, *, minutes: float = 30.0) -> list[Figure]:
    """Two participants for so long, sealed and stored, and every frame of them looked for."""
    windows = max(WARM_WINDOWS + 2, round(minutes * 60 / WINDOW_S))
    load = Load(people=PEOPLE, windows=windows, window_s=WINDOW_S)
    platform = Platform(folder / "soak")
    try:
        platform.start()
        outcome = asyncio.run(record(platform, load, published(folder)))
    finally:
        platform.stop()
    lost = found.missing(outcome.sent, outcome.kept)
    first, highest = outcome.media_mb[0], max(outcome.media_mb)
    return [
        Figure(
            name="memory of a long recording grows by",
            unit="MB an hour",
            runs=(growth(outcome.media_mb[WARM_WINDOWS:]),),
            at_most=SLOPE_MB_PER_HOUR,
            note=f"{PEOPLE} participants, {load.seconds / 60:.0f} min; {first:.0f} to {highest:.0f} MB (RSS)",
        ),
        Figure(name="not kept of a long recording", unit="", runs=(float(lost),), at_most=0.0),
        Figure(
            name="a long recording, per participant",
            unit="% of a core",
            runs=(median(outcome.core_percent),),
            note=f"{min(outcome.core_percent):.2f} to {max(outcome.core_percent):.2f} over {windows} windows",
        ),
    ]


def growth(megabytes: tuple[float, ...]) -> float:
    """Slope of the line through them, in MB an hour."""
    hours = [number * WINDOW_S / 3600 for number in range(len(megabytes))]
    return linear_regression(hours, megabytes).slope
