"""What was measured on: numbers without their machine mean nothing."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

LIBRARIES = (
    "aiortc",
    "aioice",
    "pylibsrtp",
    "av",
    "cryptography",
    "faster-whisper",
    "ctranslate2",
    "litestar",
    "uvicorn",
    "sqlalchemy",
    "psycopg",
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """load: of the last minute, per `uptime`, when the bench began: other work on the machine blurs every number."""

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    libraries: dict[str, str]
    load: float

    def line(self) -> str:
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gb:.0f} GB, Linux {self.kernel}, Python {self.python}, "
            f"load {self.load:.1f}"
        )

    def libraries_line(self) -> str:
        return ", ".join(f"{name} {number}" for name, number in self.libraries.items())


def this_machine() -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
        load=round(os.getloadavg()[0], 2),
    )


class OtherWork:
    """Watches, from its making on, what the machine does besides us: such work slows every measurement down, and even
    the processor time of a process grows, because caches are shared."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.monotonic(), _busy_s(), _ours_s()

    def cores(self) -> float:
        """How many cores others kept busy since then; processes of ours that came or went blur it."""
        others = (_busy_s() - self._busy) - (_ours_s() - self._ours)
        return max(0.0, others / (time.monotonic() - self._began))


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _ours_s() -> float:
    me = psutil.Process()
    return float(sum(sum(one.cpu_times()[:2]) for one in (me, *me.children(recursive=True))))


def _cpu() -> str:
    """The model's name, and its number, since virtual machines hide the exact name."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    name = facts.get("model name", platform.machine())
    return f"{name} (model {facts['model']})" if "model" in facts else name
