"""kill -9 of each process while a guest is being recorded: nothing acknowledged is lost, and nobody has to help.

What the media process had sealed when it was killed is in the recording (what was sent up to a second before:
test_seeded_kills.py, in the trials); a gap is marked; the guest's next publication goes on in the same recording.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import psutil
import pytest

from tests.hostile.platform import LIMIT_SECONDS, Platform, lost, room, shown

pytestmark = pytest.mark.timeout(600)  # a minute each where nothing else runs

SEED = 20261122


async def test_web_or_database_killed_the_stream_stays_and_capture_goes_on_by_itself(running: Platform) -> None:
    """Without permission capture pauses after two seconds; what is missing lies between kill and recovery, or where
    the recording says that a machine stood still for as long."""
    chance, now = random.Random(SEED), asyncio.get_running_loop().time
    await running.ready()
    async with room(running) as here:
        away: list[tuple[float, float]] = []
        async with here.sending(1) as sending:
            for word in ("web", "postgres"):
                await sending.lasts(chance.uniform(1.0, 1.5))
                killed_at = running.kill(word)
                await running.ready()
                await here.goes_on()
                away.append((killed_at, now()))
            assert sending.publication.is_connected
        await here.end()
        seen = await here.played()
        words, lapses = await here.recordings(), here.lapses()
    for frame in lost(sending.publication.frames_sent, shown(seen, 1), lapses):
        assert any(sending.sent_at(start)[0] <= frame <= sending.sent_at(end)[0] for start, end in away), frame
    assert seen.foreign(1) == 0
    assert "Stored" in words
    assert "the connection broke" not in words


async def test_media_or_parent_killed_what_was_sent_is_there_and_the_next_take_goes_on(running: Platform) -> None:
    chance = random.Random(SEED + 1)
    await running.ready()
    async with room(running) as here:
        kept, packets = [], 0
        for clip, word in ((1, "media"), (2, "serve")):
            async with here.sending(clip) as sending:
                await sending.lasts(chance.uniform(1.8, 2.4))
                frames, voice = await here.acknowledged(sending)
                family = [running.process(name) for name in ("web", "media")]
                running.kill(word)
            kept.append((clip, frames))
            packets += voice
            if word == "serve":
                _, left = psutil.wait_procs(family, timeout=LIMIT_SECONDS)
                assert left == [], "the children of a killed parent end by themselves"
                running.start()
            await running.ready()
        async with here.sending(9, seconds=2) as last:
            await last.publication.done.wait()
        await here.end()
        seen = await here.played()
        words, lapses = await here.recordings(), here.lapses()
    for clip, frames in [*kept, (9, last.publication.frames_sent)]:
        assert frames > 0
        pictures = Counter(number and number.clip for number in seen.numbers)
        assert lost(frames, shown(seen, clip), lapses) == [], f"of clip {clip}; there are {pictures}; {words}"
    assert seen.audio_packets >= packets + (0 if lapses else last.publication.audio_packets_sent)
    assert None not in seen.numbers
    assert "the connection broke, the gap is marked" in words
    assert words.count("Mia, camera") == 1, "one recording, however often they come back"
