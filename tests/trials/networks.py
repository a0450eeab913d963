"""The long form of tests/hostile/test_losses.py and test_generated_losses.py: every loss with every delay, by Chromium
and by a generator whose finished file is read; and how much is sent, by Chromium.

Collected only when it is named, as `make trials` does.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path

import pytest

from app.demo import clips
from app.demo.clips import Clip
from bench.media import encode_720p, lasting
from recordings.model import TrackKind
from tests.app.loopback import until
from tests.fixtures.bad_network import BadNetwork, Weather
from tests.hostile import trial
from tests.hostile.generated import recorded
from tests.hostile.test_losses import sending

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
SECONDS = int(os.environ.get("LOSS_SECONDS", "20"))
LEAST = {0.0: (1.0, 1.0), 0.02: (0.999, 0.999), 0.05: (0.999, 0.995), 0.10: (0.99, 0.98)}
"""Of the pictures and of the sound, by loss."""
FAST, FAST_WITHIN_S = 2_000_000, 3.0
NARROW, SETTLED_S = 500_000, 20


@pytest.mark.parametrize("delay_s", [0.02, 0.10])
@pytest.mark.parametrize("loss", LEAST)
async def test_losses(loss: float, delay_s: float) -> None:
    picture, sound = LEAST[loss]
    seed = trial.seed()
    weather = Weather(loss=loss, delay_s=delay_s, jitter_s=0.005)
    async with BadNetwork(weather, seed=seed) as network, sending(network) as sender:
        await until(lambda: sender.seconds() > SECONDS, "so much of picture", SECONDS + 60)
        network.weather = Weather(delay_s=delay_s, jitter_s=0.005)  # nobody can miss the very last packet of a stream
        lossless = sender.seconds() + 0.3
        await until(lambda: sender.seconds() > lossless, "the end of the last loss")
        sent = await sender.stop()
        await asyncio.sleep(3)  # what is still asked for has this long to come
        kept = len(sender.sink.of(CAMERA)) / sent
        trial.note(
            "losses",
            seed=seed,
            loss=loss,
            delay_s=delay_s,
            seconds=round(sender.seconds(), 1),
            frames_sent=sent,
            frames_kept=round(kept, 5),
            sound_kept=round(sender.sound_kept(), 5),
            packets_lost=network.lost,
        )
        assert kept >= picture
        assert sender.sound_kept() >= sound


@cache
def generated() -> tuple[Clip, Clip]:
    """720p of 1.8 Mbit/s, and a voice."""
    return lasting(encode_720p(), SECONDS + 1), lasting(clips.speech(1), SECONDS + 1)


@pytest.mark.parametrize("delay_s", [0.02, 0.10])
@pytest.mark.parametrize("loss", LEAST)
async def test_losses_of_a_generator(loss: float, delay_s: float, tmp_path: Path) -> None:
    picture, sound = LEAST[loss]
    seed = trial.seed()
    weather = Weather(loss=loss, delay_s=delay_s, jitter_s=0.005)
    seen = await recorded(tmp_path, generated(), weather, seconds=SECONDS, seed=seed)
    tracks = (seen.picture, seen.sound)
    trial.note(
        "losses of a generator",
        seed=seed,
        loss=loss,
        delay_s=delay_s,
        seconds=SECONDS,
        frames_sent=seen.picture.sent,
        frames_kept=round(seen.picture.kept, 5),
        sound_kept=round(seen.sound.kept, 5),
        holes=[len(one.holes) for one in tracks],
        missing_untold=[len(one.untold) for one in tracks],
        missing_before_the_first=[len(one.never_begun) for one in tracks],
        told_in_vain=[len(one.told_in_vain) for one in tracks],
        packets_lost=seen.packets_lost,
    )
    assert seen.picture.kept >= picture
    assert seen.sound.kept >= sound
    assert [(one.untold, one.told_in_vain) for one in tracks] == [([], []), ([], [])]


async def test_a_clean_way_is_soon_used() -> None:
    """As the encoder is told to and as it does; the seconds since the first picture."""
    clock = asyncio.get_running_loop().time
    async with BadNetwork(Weather(delay_s=0.02)) as network, sending(network, bits=2_500_000) as sender:
        began, bits, there_after_s = clock(), network.bits, None
        seen = [(0.0, 0)]
        while clock() - began < 10:
            await asyncio.sleep(0.1)
            seen.append((clock() - began, network.bits - bits))
            if there_after_s is None and await sender.target() >= FAST:
                there_after_s = round(clock() - began, 2)
    rate = rate_between(seen, FAST_WITHIN_S - 1, FAST_WITHIN_S + 1)
    trial.note(
        "a clean way",
        target_of_2_mbit_after_s=there_after_s,
        bits_per_second_around_3_s=rate,
        bits_per_second_after_5_s=rate_between(seen, 5, 10),
    )
    assert there_after_s is not None
    assert not trial.is_measured() or (there_after_s <= FAST_WITHIN_S and rate >= FAST)


def rate_between(seen: list[tuple[float, int]], from_s: float, to_s: float) -> int:
    """Bits per second. seen: seconds and all bits until then."""
    inside = [one for one in seen if from_s <= one[0] <= to_s]
    return round((inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]))


async def test_a_narrow_way_is_filled() -> None:
    weather = Weather(delay_s=0.02, bits_per_second=NARROW)
    async with BadNetwork(weather) as network, sending(network, bits=2_500_000) as sender:
        await until(lambda: sender.seconds() > SETTLED_S, "it has settled", SETTLED_S + 60)
        lost, passed, bits, before = network.lost, network.passed, network.bits, sender.seconds()
        await until(lambda: sender.seconds() > before + SETTLED_S, "the picture goes on", SETTLED_S + 60)
        rate = (network.bits - bits) / (sender.seconds() - before)
        lost, passed = network.lost - lost, network.passed - passed
    trial.note("a narrow way", bits_per_second=round(rate), of=NARROW, lost=round(lost / (lost + passed), 5))
    assert lost <= 0.02 * (lost + passed)
    assert not trial.is_measured() or 0.8 * NARROW <= rate <= NARROW
