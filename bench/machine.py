"""What was measured on: numbers without their machine mean nothing."""

from __future__ import annotations

import os
import platform
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


def _cpu() -> str:
    """The model's name, and its number, since virtual machines hide the exact name."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    name = facts.get("model name", platform.machine())
    return f"{name} (model {facts['model']})" if "model" in facts else name
