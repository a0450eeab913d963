"""What a generated publisher loses and sends again is in the finished file; the index tells of the rest exactly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.demo import clips
from tests.fixtures.bad_network import Weather
from tests.hostile import trial
from tests.hostile.generated import Outcome, recorded

pytestmark = pytest.mark.timeout(200)


async def test_what_comes_again_is_kept_and_what_does_not_is_told_of_frame_by_frame(tmp_path: Path) -> None:
    """Without repairs sound loses what was lost and no more, pictures also what cannot be decoded without it."""

    async def through(loss: float, repairs: bool) -> Outcome:
        weather = Weather(loss=loss, delay_s=0.02, jitter_s=0.005)
        media = (clips.camera(1), clips.speech(1))
        return await recorded(tmp_path / f"{repairs}", media, weather, seconds=5, seed=trial.seed(), repairs=repairs)

    repaired, left = await asyncio.gather(through(0.05, repairs=True), through(0.10, repairs=False))
    assert repaired.packets_lost
    assert repaired.picture.kept >= 0.999
    assert repaired.sound.kept_since_begun >= 0.995  # of packets sent in a heap the fourth may come first
    assert left.picture.missing
    assert left.sound.missing
    for track in (repaired.picture, repaired.sound, left.picture, left.sound):
        assert (track.untold, track.told_in_vain) == ([], [])
