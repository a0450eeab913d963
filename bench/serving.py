"""Part 1: how soon `junier serve` is ready, and what it weighs while nobody uses it."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from bench.figures import Figure
from bench.platform import Platform, proportional_bytes

FIRST_START_S = 8.0
LATER_START_S = 4.0
AT_REST_MB = 350.0


def measure(folder: Path, *, starts: int = 3, settle_s: float = 10.0) -> list[Figure]:
    """Each of `starts` rounds starts in an empty folder, and once more where everything is there."""
    first: list[float] = []
    later: list[float] = []
    processor: list[float] = []
    rest: dict[str, list[float]] = {}
    for number in range(starts):
        platform = Platform(folder / f"serving-{number}")
        try:
            first.append(platform.start())
            platform.stop()
            later.append(platform.start())
            processor.append(_processor_s(platform))
            time.sleep(settle_s)
            for name, megabytes in weights(platform).items():
                rest.setdefault(name, []).append(megabytes)
        finally:
            platform.stop()
    shares = ", ".join(f"{name} {max(runs):.0f}" for name, runs in rest.items() if name != "all")
    return [
        Figure(
            name="ready after the first start (initdb, migrations)", unit="s", runs=tuple(first), at_most=FIRST_START_S
        ),
        Figure(name="ready after a later start", unit="s", runs=tuple(later), at_most=LATER_START_S),
        Figure(
            name="processor time of a later start",
            unit="s",
            runs=tuple(processor),
            note="all processes; what a busy machine does not blur",
        ),
        Figure(
            name="memory at rest, all processes (PSS)",
            unit="MB",
            runs=tuple(rest["all"]),
            at_most=AT_REST_MB,
            note=f"{shares}; {settle_s:.0f} s after the start",
        ),
    ]


def _processor_s(platform: Platform) -> float:
    times = [process.cpu_times() for process in platform.processes()]
    return float(sum(time.user + time.system for time in times))


def weights(platform: Platform) -> dict[str, float]:
    """Megabytes of each kind of process, and of all."""
    weights: dict[str, float] = {"all": 0.0}
    for process in platform.processes():
        megabytes = proportional_bytes(process) / 1e6
        name = _name(process)
        weights[name] = weights.get(name, 0.0) + megabytes
        weights["all"] += megabytes
    return weights


def _name(process: psutil.Process) -> str:
    words: list[str] = process.cmdline()
    if words[1:3] == ["-m", "app"]:
        return {"serve": "parent"}.get(words[3], words[3])
    return "PostgreSQL" if process.name().startswith("postgres") else str(process.name())
