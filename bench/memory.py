"""What a participant weighs: the media process of the whole platform with so many being recorded, against the same
process before anybody came. Everything that a first connection loads is in it, shared out among them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.capture import Load, Outcome, published, record
from bench.figures import Figure
from bench.plane import found
from bench.platform import Platform, resident_bytes

PEOPLE = 30
PERSON_MB = 2.0
REST_S = 5.0
"""After the start, before the empty process is looked at."""


def measure(folder: Path, *, people: int = PEOPLE) -> list[Figure]:
    """Sealed and stored, as the platform runs. The target is held against a full crowd only."""
    media = published(folder)
    platform = Platform(folder / "memory")
    try:
        platform.start()
        time.sleep(REST_S)
        empty_mb = resident_bytes(platform.media_process()) / 1e6
        load = Load(people=people, windows=3, window_s=5.0)
        outcome = asyncio.run(record(platform, load, media))
    finally:
        platform.stop()
    return [figure(outcome, people, empty_mb)]


def figure(outcome: Outcome, people: int, empty_mb: float) -> Figure:
    lost = found.missing(outcome.sent, outcome.kept)
    highest = max(outcome.media_mb)
    return Figure(
        name="memory per participant, sealed and stored",
        unit="MB",
        runs=tuple((one - empty_mb) / people for one in outcome.media_mb),
        at_most=PERSON_MB if people >= PEOPLE else None,
        note=f"media process {empty_mb:.0f} MB with nobody, {highest:.0f} MB with {people} (RSS); "
        f"{lost} frames and packets lost",
        facts={"n": people, "empty_mb": round(empty_mb, 1), "highest_mb": round(highest, 1), "lost": lost},
    )
