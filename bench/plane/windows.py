"""Processor time of another process over windows of wall time: its own clock, so that other work blurs it least."""

from __future__ import annotations

import asyncio
import time

_PERCENT = 100.0


def processor_s(pid: int) -> float:
    """User and system, all threads, in nanosecond steps: its CPU clock, clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


async def core_percent(pid: int, seconds: float, windows: int = 1) -> list[float]:
    """Of one core, one value a window."""
    values = []
    for _ in range(windows):
        before, began = processor_s(pid), time.monotonic()
        await asyncio.sleep(seconds)
        values.append(_PERCENT * (processor_s(pid) - before) / (time.monotonic() - began))
    return values
