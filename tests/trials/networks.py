"""The long form of tests/hostile/test_losses.py: every loss with every delay, cuts of every length, by Chromium.

Collected only when it is named, as `make trials` does.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from app.room import peer
from recordings.model import TrackKind
from tests.app.loopback import until
from tests.fixtures.bad_network import BadNetwork, Weather
from tests.hostile import trial
from tests.hostile.test_losses import sending

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
SECONDS = int(os.environ.get("LOSS_SECONDS", "20"))
LEAST = {0.0: (1.0, 1.0), 0.02: (0.999, 0.999), 0.05: (0.999, 0.995), 0.10: (0.99, 0.98)}
"""Of the pictures and of the sound, by loss."""
CUTS = [int(word) for word in os.environ.get("CUT_SECONDS", "1,5,20").split(",")]


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


@pytest.mark.parametrize("seconds", CUTS)
async def test_cuts(seconds: int) -> None:
    async with BadNetwork(Weather(delay_s=0.02)) as network, sending(network) as sender:
        await until(lambda: sender.seconds() > 3, "three seconds of picture")
        clock = asyncio.get_running_loop().time
        before, shown, cut_at = len(sender.sink.of(CAMERA)), sender.seconds(), clock()
        network.cut = True
        await asyncio.sleep(seconds)
        network.cut = False
        mended_at = clock()

        def is_back() -> bool:
            """And at its time: closed up it would lag the length of the cut behind for ever."""
            on_time = sender.seconds() - shown > clock() - cut_at - 3
            return on_time and len(sender.sink.of(CAMERA)) > before + 30

        await until(is_back, "the picture comes back", 40)
        trial.note("cuts", seconds=seconds, back_after_s=round(clock() - mended_at, 2))
        ticks = [frame.ticks for frame in sender.sink.of(CAMERA)]
        assert ticks == sorted(ticks)
        assert sender.publication.state is peer.PeerState.CONNECTED
