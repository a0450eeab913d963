"""The long form of tests/hostile/test_storage_faults.py: faults that come and go for minutes."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.fixtures.weed import Weed
from tests.hostile import trial
from tests.hostile.fault_proxy import Fault
from tests.hostile.test_storage_faults import capture

SECONDS = float(os.environ.get("FAULT_SECONDS", "600"))


@pytest.mark.timeout(2 * SECONDS + 180)
async def test_minutes_of_faults(weed: Weed, tmp_path: Path) -> None:
    """In real time, because time-outs are real; media is generated as fast as rounds of storing go."""
    seed = trial.seed()
    chance = random.Random(seed)
    clock = asyncio.get_running_loop().time
    began_at, captured_s, longest_alarm_s = clock(), 0, 0.0
    async with capture(weed, tmp_path, seed=seed) as scene:
        frames = await scene.record(5)
        while clock() - began_at < SECONDS:
            now = chance.choice([None, *Fault])
            share = chance.uniform(0.2, 1.0)
            scene.proxy.fault = lambda now=now, share=share: now if chance.random() < share else None
            for _ in range(chance.randint(1, 6)):
                frames += await scene.record(5)
                captured_s += 5
                longest_alarm_s = max(longest_alarm_s, scene.uploader.health().oldest_waiting_s)
        scene.proxy.fault = None
        scene.recorder.close()
        await scene.drain(limit_s=120)
        scene.all_is_there(frames)
        trial.note(
            "storage faults",
            seed=seed,
            real_seconds=round(clock() - began_at),
            captured_seconds=captured_s,
            pieces=len(scene.closed),
            longest_waiting_s=round(longest_alarm_s),
            faults={fault.value: scene.proxy.met[fault] for fault in Fault},
            lost_or_doubled=0,
        )
