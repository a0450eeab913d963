"""The network of a publishing Chromium is cut for seconds, and comes back as it was or from another address: the same
take goes on in the same recording, and its finished file tells how much is missing and when.

Collected only when it is named, as `make trials` does.
"""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from recordings.gaps import LOST, without
from recordings.model import TrackKind
from tests.app.loopback import until
from tests.app.node_scene import rooms
from tests.app.room_stage import allow
from tests.fixtures.bad_network import BadNetwork, Weather
from tests.hostile import trial
from tests.hostile.test_losses import PUBLISH, STOP
from tests.journeys.browser import chromium
from tests.recordings.scene import play

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
BITS = 600_000
CUTS = [int(word) for word in os.environ.get("CUT_SECONDS", "1,5,20").split(",")]
PACKET_MS = 20
REPAIRED_S = 4.0
"""At the end of a cut so much may be asked for again, from what the sender still has."""
BACK_WITHIN_S = 4.0
"""A sender that was cut off looks for the way back twice a second, and a picture needs a key frame."""
GIVEN_UP_S = 15.0
"""After so long it looks no more; then a check of ours finds it, and they come every 4 to 6 s (RFC 7675 §5.1)."""
CHECKED_EVERY_S = 6.0
CONSENT_S = 40.0
"""Longer than the consent to send to an address lasts (RFC 7675): by then the new one was learnt, or nothing comes."""


@pytest.mark.parametrize("seconds, moves", [*((one, False) for one in CUTS), (CUTS[0], True)])
async def test_cuts(seconds: int, moves: bool, tmp_path: Path) -> None:
    """moves: it comes back from another address and port, as after a change of networks behind a NAT."""
    async with BadNetwork(Weather(delay_s=0.02)) as network, rooms(tmp_path) as scene, chromium() as browser:
        ask = scene.ask("")

        async def answer(offer: str) -> str:
            return network.between((await scene.rooms.publish(scene.ask(offer, like=ask))).sdp)

        def kept(kind: TrackKind) -> int:
            return scene.kept(ask, kind)

        page = await browser.new_page()
        await page.expose_function("answer", answer)
        await page.evaluate(PUBLISH, BITS)
        await until(lambda: scene.stream(ask).connected, "the connection")
        scene.rooms.permit(ask.session, allow(ask))
        await until(lambda: kept(CAMERA) > 90 and kept(VOICE) > 150, "three seconds of picture and sound")
        cut_at, network.cut = time.time(), True
        await asyncio.sleep(seconds)
        if moves:
            await network.move("127.0.0.2")
        before = (kept(CAMERA), kept(VOICE))
        mended_at, network.cut = time.time(), False
        await until(lambda: kept(CAMERA) > before[0] + 30 and kept(VOICE) > before[1] + 50, "both come back", 40)
        back_after_s = round(time.time() - mended_at, 2)
        if moves:
            await until(lambda: network.returned > 0, "what is asked of the sender goes to the new address")
            await asyncio.sleep(CONSENT_S)
            now = kept(CAMERA)
            await until(lambda: kept(CAMERA) > now + 30, "and still goes on")
        await page.evaluate(STOP)
        await asyncio.sleep(1)
        [stream] = scene.rooms.streams
        assert (stream.ask.take, scene.ended) == (1, []), "the take that began"
        await scene.rooms.end(stream.ask.resource)
        finished = await scene.finished(ask)
        index, sound = finished.index, [one.at_ms for one in play(finished.file)["audio"]]
    cut_ms, mended_ms = (1000 * (at - index.started_at) for at in (cut_at, mended_at))
    [voice] = [track for track in index.tracks if track.kind is VOICE]
    told_ms = sum(hole.missing_ms for hole in voice.holes)
    trial.note(
        "cuts",
        seconds=seconds,
        moves=moves,
        back_after_s=back_after_s,
        sound_missing_s=round(told_ms / 1000, 2),
        gaps=[[gap.from_ms, gap.to_ms, gap.why] for gap in index.gaps],
        cut_ms=[round(cut_ms), round(mended_ms)],
    )
    assert {chunk.take for track in index.tracks for chunk in track.chunks} == {1}, "one file"
    assert sound == sorted(sound), "its true timeline"
    back_within_s = BACK_WITHIN_S + (CHECKED_EVERY_S if seconds > GIVEN_UP_S else 0)
    until_ms = mended_ms + 1000 * back_within_s
    silences = [(last, next_) for last, next_ in pairwise(sound) if next_ - last > 2 * PACKET_MS]
    holes = [(hole.from_ms, hole.to_ms) for hole in voice.holes]
    untold = without([one for one in silences if one[1] > cut_ms and one[0] < until_ms], holes)
    assert all(to_ms - from_ms <= 2 * PACKET_MS for from_ms, to_ms in untold), f"missing and not told: {untold}"
    assert all(cut_ms - 1000 <= from_ms and to_ms <= until_ms for from_ms, to_ms in holes), holes
    assert seconds - REPAIRED_S <= told_ms / 1000 <= seconds + back_within_s
    if seconds > REPAIRED_S:  # a shorter one may be repaired altogether
        longest = max(voice.gaps, key=lambda gap: gap.to_ms - gap.from_ms)
        assert (longest.why, cut_ms - 1000 <= longest.from_ms < mended_ms) == (LOST, True), "people are told of it"
        assert seconds - REPAIRED_S <= (longest.to_ms - longest.from_ms) / 1000 <= seconds + back_within_s
