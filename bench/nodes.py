"""Two media processes carry close to twice the load of one: a process for each core, a room lives on one of them.

Each records as a media process does, sealed and stored, in a process of its own. First one alone with so many
participants, then two at once with as many each. What a process still carries follows from what a participant costs it:
where two get in each other's way (caches, disk, the kernel's sockets) a participant costs each of them more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.capture import published
from bench.figures import Figure
from bench.plane import crowd, found
from bench.plane.compare import Look, Media, Seen, under_load

PEOPLE = 30
TWO_OF_ONE = 1.8


def measure(folder: Path, *, people: int = PEOPLE, look: Look | None = None) -> list[Figure]:
    return asyncio.run(_measure(folder, published(folder), people, look or Look()))


async def _measure(folder: Path, media: Media, people: int, look: Look) -> list[Figure]:
    alone = await recorded(folder / "alone", media, people, look)
    both = await asyncio.gather(*(recorded(folder / name, media, people, look) for name in ("first", "second")))
    return figures(alone, both)


async def recorded(folder: Path, media: Media, people: int, look: Look) -> Seen:
    """By one process."""
    folder.mkdir()
    async with crowd.server("receiver", "sealed", str(folder)) as server:
        percent, sent = await under_load(server, media.job(people, look), look)
        kept = (await server.finish()).kept
    return Seen(people=people, percent=percent, sent=found.total(sent), kept=kept)


def figures(alone: Seen, both: Sequence[Seen]) -> list[Figure]:
    """The target is held against full crowds only."""
    lost, is_full = sum(seen.lost for seen in (alone, *both)), alone.people >= PEOPLE
    return [
        Figure(
            name="load carried by two media processes, of one",
            unit="x",
            runs=tuple(2 * median(alone.percent) / value for seen in both for value in seen.percent),
            at_least=TWO_OF_ONE if is_full else None,
            note=f"{alone.people} participants in each at once, sealed and stored: {_middle(both):.2f} % of a core for "
            f"each, {median(alone.percent):.2f} % in one process alone",
            facts={"n": 2 * alone.people},
        ),
        Figure(
            name="not kept by media processes side by side",
            unit="",
            runs=(float(lost),),
            at_most=0.0 if is_full else None,
            note=f"alone {alone.told}; at once {'; '.join(seen.told for seen in both)}",
        ),
    ]


def _middle(both: Sequence[Seen]) -> float:
    return median(value for seen in both for value in seen.percent)
