"""kill -9 of the media process at moments drawn by a seed: two in the suite, twenty in `make trials` (KILLS=20); under
a page in Chromium one, and five (PAGE_KILLS=5).

Every run is one take of the same recording. What the media process had sealed when it was killed is in the file; in the
trials, on a machine that does nothing else, so is what was on the wire a second before, and a page is back in time.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise

import pytest

from app.demo.clips import SCREEN_CLIP_OFFSET
from app.demo.frame_counter import FrameNumber
from app.demo.inspection import Inspection
from tests.hostile import trial
from tests.hostile.platform import LIMIT_SECONDS, Platform, Room, lost, room
from tests.journeys.browser import Window, chromium

pytestmark = pytest.mark.timeout(600)  # a minute where nothing else runs

ACKNOWLEDGED_SECONDS = 1.0
FIRST_AFTER_S, LATEST_AFTER_S = 1.2, 6.0
"""Before, during and after the end of the first segment of five seconds."""
BACK_WITHIN_S = 5.0
"""A page: from the kill until its next take has pictures and sound, both."""
CLIPS = (1, 2, 1 + SCREEN_CLIP_OFFSET, 2 + SCREEN_CLIP_OFFSET)


async def test_whenever_the_media_process_is_killed_all_but_the_last_second_is_kept(running: Platform) -> None:
    runs, seed = trial.times("KILLS", 2), trial.seed()
    chance, clock = random.Random(seed), asyncio.get_running_loop().time
    sent: list[tuple[int, int, int]] = []  # per take: its clip, frames and sound packets that must be there
    away: list[float] = []
    await running.ready()
    async with room(running) as here:
        killed_at = 0.0
        for number in range(runs):
            clip = CLIPS[number % len(CLIPS)]
            async with here.sending(clip) as sending:
                if number:
                    away.append(clock() - killed_at)
                await sending.lasts(chance.uniform(FIRST_AFTER_S, LATEST_AFTER_S))
                frames, packets = await here.acknowledged(sending)
                killed_at = running.kill("media")
            if trial.is_measured():
                earlier = sending.sent_at(killed_at - ACKNOWLEDGED_SECONDS)
                frames, packets = max(frames, earlier[0]), max(packets, earlier[1])
            sent.append((clip, frames, packets))
        clip = CLIPS[runs % len(CLIPS)]
        async with here.sending(clip, seconds=2) as last:
            away.append(clock() - killed_at)
            await last.publication.done.wait()
        sent.append((clip, last.publication.frames_sent, last.publication.audio_packets_sent))
        await here.end()
        seen = await here.played()
        words, lapses = await here.recordings(), here.lapses()
        takes = await takes_of(here)
    assert takes == [(number + 1, number < runs) for number in range(runs + 1)], "each kill a take, marked interrupted"
    assert words.count("Mia, camera") == 1, "one recording, however often they come back"
    assert "the connection broke, the gap is marked" in words
    assert None not in seen.numbers, "every picture decodes"
    found = seen_of_each(seen)
    assert [take.clip for take in found] == [clip for clip, _, _ in sent], "pictures of every take, in their order"
    gone = [lost(frames, take.pictures, lapses) for take, (_, frames, _) in zip(found, sent, strict=True)]
    assert not any(gone), f"pictures lost, by take: {gone}"
    silent = [packets - take.sound for take, (_, _, packets) in zip(found, sent, strict=True)]
    assert lapses or max(silent) <= 0, f"packets of sound lost, by take: {silent}"
    trial.note(
        "kills",
        seed=seed,
        runs=runs,
        frames_due=sum(frames for _, frames, _ in sent),
        frames_found=seen.frames,
        publisher_back_after_s={"median": round(sorted(away)[len(away) // 2], 2), "longest": round(max(away), 2)},
    )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One take in the file: when each of its pictures is shown, by number, and how many packets of sound."""

    clip: int
    pictures: dict[int, float]
    sound: int


def seen_of_each(seen: Inspection) -> list[Seen]:
    """Takes that follow each other show different clips; half of the pause between two belongs to each."""
    shown = [(number, at) for number, at in zip(seen.numbers, seen.pictures_at, strict=True) if number]
    runs = [list(run) for _, run in groupby(shown, lambda one: one[0].clip)]
    ends = [(before[-1][1] + after[0][1]) / 2 for before, after in pairwise(runs)]
    sound = Counter(bisect(ends, at) for at in seen.sound_at)
    return [
        Seen(clip=run[0][0].clip, pictures={number.frame: at for number, at in run}, sound=sound[place])
        for place, run in enumerate(runs)
    ]


def test_what_one_take_lost_is_not_found_in_another_of_the_same_clip() -> None:
    frames = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (1, 0), (1, 2)]
    seen = Inspection(
        seconds=22.0,
        frames=len(frames),
        audio_packets=3,
        numbers=tuple(FrameNumber(clip=clip, frame=frame) for clip, frame in frames),
        pictures_at=(0.0, 0.1, 0.2, 10.0, 10.1, 20.0, 20.2),
        sound_at=(0.3, 9.9, 20.0),
        flashes=(),
        beeps=(),
    )
    first, _, third = seen_of_each(seen)
    assert (set(first.pictures), set(third.pictures)) == ({0, 1, 2}, {0, 2})
    assert [take.sound for take in seen_of_each(seen)] == [1, 1, 1]


async def test_a_page_whose_media_process_is_killed_comes_back_into_the_same_recording(running: Platform) -> None:
    kills, seed = trial.times("PAGE_KILLS", 1), trial.seed()
    chance, clock = random.Random(seed), asyncio.get_running_loop().time
    back_after_s: list[float] = []
    await running.ready()
    async with room(running) as here, chromium() as browser:
        mia = await Window.open(browser)
        await mia.takes(here.guest.browser.http.cookies.jar, running.settings.origin)
        await mia.page.goto(f"{running.settings.origin}/rooms/{here.owner.session}")
        await mia.press("I am ready")
        take = await arrived(here, after=0)
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(FIRST_AFTER_S, LATEST_AFTER_S))
            killed_at = running.kill("media")
            take = await arrived(here, after=take)
            back_after_s.append(round(clock() - killed_at, 2))
        await here.end()
        takes = await takes_of(here)
        assert (await here.recordings()).count("Mia, camera") == 1
        assert mia.faults == []
    trial.note("kills under a page", seed=seed, kills=kills, back_after_s=back_after_s)
    assert sum(interrupted for _, interrupted in takes) >= kills, "each kill a take, marked interrupted"
    assert [number for number, _ in takes] == list(range(1, len(takes) + 1))
    assert len(takes) >= take  # a page on a busy machine may have had to come back once more
    assert not trial.is_measured() or max(back_after_s) <= BACK_WITHIN_S


async def arrived(here: Room, *, after: int) -> int:
    """Waits until pictures and sound of a take after that one are kept; returns its number."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            live = await here.live()
            if live and live.take > after and len(live.tracks) == 2 and all(track.frames for track in live.tracks):
                return live.take
            await asyncio.sleep(0.05)


async def takes_of(here: Room) -> list[tuple[int, bool]]:
    """(number, interrupted) of every take; all have ended."""
    query = (
        "SELECT take.number, take.interrupted, take.ended_at IS NULL FROM take JOIN recording r ON r.id = recording_id"
        f" WHERE r.session_id = '{here.owner.session}' ORDER BY take.number"
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            with here.platform.superuser() as looking:
                rows = looking.execute(query).fetchall()
            if not any(is_open for _, _, is_open in rows):
                return [(number, interrupted) for number, interrupted, _ in rows]
            await asyncio.sleep(0.1)
