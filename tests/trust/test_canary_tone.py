"""A tone that is played only while no consent covers the voice is nowhere in what is stored, decoded (J4-19e).

CONSENT_RUNS=… how many times, TRIAL_SEED=… where to begin.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy
import pytest

from app.database import Database
from app.studies.models import ConsentKind
from recordings.finalise import finalise
from recordings.model import PersonId
from recordings.samples import SAMPLE_RATE, voice_samples
from tests.hostile import trial
from tests.recordings.scene import sounds
from tests.trust.arena import VOICE, Arena, arena
from tests.trust.oracle import Sent

SPEECH_HZ, CANARY_HZ = 440, 2000  # no overtone of the other
WINDOW = SAMPLE_RATE // 50  # one Opus packet


@pytest.fixture
async def room(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Arena]:
    async with arena(database, tmp_path, monkeypatch) as made:
        yield made


def tones(canary: Callable[[Sent], bool]) -> Callable[[Sent], bytes]:
    """The voice as real Opus; the picture as its mark."""

    def coded(sent: Sent) -> bytes:
        if sent.kind is not VOICE:
            return sent.mark
        packets = sounds(150, CANARY_HZ if canary(sent) else SPEECH_HZ)
        return packets[int(sent.mark[1:-1], 16) % len(packets)]

    return coded


async def heard(room: Arena, hertz: float) -> float:
    """Loudest sound of this pitch in any packet's length of any voice that is stored; 0.37 is as it was played."""
    store, keys, loudest = room.stage.wiring.store, room.stage.wiring.keys, 0.0
    for number, track in enumerate(await room.tracks()):
        if track.kind is not VOICE or not room.plaintext(track):
            continue
        index = finalise(store, keys, track.of, [track], 90 + number)  # closed tracks too, which no player gets
        for _, samples in voice_samples(store, keys, track.of, index.object_key, index.generation, track):
            at = numpy.arange(len(samples)) / SAMPLE_RATE
            mixed = samples * numpy.exp(-2j * numpy.pi * hertz * at)
            whole = len(mixed) // WINDOW * WINDOW
            loudest = max(loudest, float(2 * abs(mixed[:whole].reshape(-1, WINDOW).mean(axis=1)).max(initial=0)))
    return loudest


async def test_a_tone_played_after_the_click_is_nowhere(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trial.seed()
    for number in range(trial.times("CONSENT_RUNS", 1)):
        seed = first + number
        async with arena(database, tmp_path / str(seed), monkeypatch) as room:
            room.chance = random.Random(seed)
            room.coded = tones(lambda sent: sent.covered is False)
            anna = await room.guest("Anna", ConsentKind.VIDEO, ConsentKind.AUDIO, admitted=True)
            await room.lead("open")
            await room.connect(anna)
            await room.go_on(0.5)
            await room.lead("start")
            await room.go_on(room.chance.uniform(0.3, 3))
            how = room.chance.choice(["taken back", "taken back, told late", "paused", "paused by the researcher"])
            await stop(room, anna, how)
            await room.go_on(2)
            await room.finish()
            speech, canary = await heard(room, SPEECH_HZ), await heard(room, CANARY_HZ)
            played = sum(one.covered is False and one.kind is VOICE for one in room.oracle.sent)
            trial.note("canary", seed=seed, how=how, played=played, heard=round(canary, 3), speech=round(speech, 3))
            # a short word may come late as a whole
            arrived = sum(one.covered is True and not one.late and one.kind is VOICE for one in room.oracle.sent)
            assert played > 100
            assert speech > 0.3 or arrived < 10, "what was said before is there"
            assert canary < 0.05, how
            await room.erase()
            assert (await heard(room, SPEECH_HZ) == 0) is (how.startswith("taken back") or not speech)


async def stop(room: Arena, person: PersonId, how: str) -> None:
    match how:
        case "paused":
            await room.pause_mine(person, paused=True)
        case "paused by the researcher":
            await room.lead("pause")
        case _:
            room.wire.cut = how.endswith("told late")
            await room.withdraw(person, ConsentKind.AUDIO)
            room.wire.cut = False


async def test_where_it_was_covered_the_tone_is_heard(room: Arena) -> None:
    """The listener hears a tenth of a second of it."""
    anna = await room.guest("Anna", ConsentKind.AUDIO, admitted=True)
    room.coded = tones(lambda sent: 100 <= int(sent.mark[1:-1], 16) < 106)
    await room.lead("open")
    await room.connect(anna)
    await room.lead("start")
    await room.go_on(3)
    await room.finish()
    assert all(one.covered for one in room.oracle.sent[100:106] if one.kind is VOICE)
    assert await heard(room, CANARY_HZ) > 0.1
