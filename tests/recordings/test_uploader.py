"""A store that fails, refuses, answers late or forgets to answer loses and doubles nothing."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from recordings.storage.layout import recording_prefix, track_prefix
from recordings.storage.store import StoreRefused, StoreUnavailable
from tests.recordings.scene import CAMERA, VOICE, Scene, play


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "spool")


async def test_a_store_that_is_down_and_comes_back_gets_everything_once(scene):
    down = True
    asked: Counter[str] = Counter()

    def fault(verb: str, key: str) -> None:
        asked[key] += verb == "put"
        if verb == "put" and down:
            raise StoreUnavailable("connection refused")

    scene.store.fault = fault
    recorder = scene.recorder()
    frames = scene.capture(recorder, 15)
    assert await scene.uploader.round() == 0
    assert sum(asked.values()) <= 2, "one failure ends a round: the store is not hammered"
    scene.now += 60
    health = scene.uploader.health()
    assert "connection refused" in health.failing and health.oldest_waiting_s > 60 and health.pieces > 0
    assert scene.stored == [] and recorder.health().tracks[CAMERA].frames == 450, "capture does not notice"

    down = False
    recorder.close()
    await scene.store_all()
    assert scene.uploader.health().failing is None and scene.uploader.health().pieces == 0
    assert len(scene.stored) == len(set(scene.stored)) == len(scene.store.objects)
    played = play(b"".join(scene.view(scene.finalise()).read()))
    assert len(played["video"]) + len(played["audio"]) == len(frames)


async def test_a_put_whose_answer_was_lost_is_repeated_and_not_doubled(scene):
    lost = {"answers": 3}
    put = scene.store.put

    def answer_lost(key: str, data: bytes) -> None:
        put(key, data)
        if lost["answers"]:
            lost["answers"] -= 1
            raise StoreUnavailable("timed out")

    scene.store.put = answer_lost
    recorder = scene.recorder()
    frames = scene.capture(recorder, 10)
    recorder.close()
    for _ in range(6):
        await scene.uploader.round()
    assert scene.spool.waiting().ready == 0
    assert sum(track.frames for track in scene.finalise().tracks) == len(frames)


async def test_one_refused_piece_holds_up_only_its_own_take(scene):
    def fault(verb: str, key: str) -> None:
        if verb == "put" and str(scene.tracks[CAMERA].track) in key:
            raise StoreRefused("object lock")

    scene.store.fault = fault
    recorder = scene.recorder()
    scene.capture(recorder, 6)
    recorder.close()
    for _ in range(3):
        await scene.uploader.round()
    assert scene.uploader.health().refused == 2
    assert {key.split("/")[4] for key in scene.stored} == {str(scene.tracks[VOICE].track)}
    scene.store.fault = lambda verb, key: None
    assert await scene.uploader.round() == 0, "not asked again at once"
    scene.now += 31
    await scene.store_all()
    assert scene.uploader.health().refused == 0 and scene.spool.used_bytes == 0


async def test_it_tells_until_when_a_track_is_stored(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 12)
    voice = track_prefix(scene.tracks[VOICE])
    assert scene.uploader.stored_up_to(voice) is None
    await scene.store_all()
    assert scene.now - 8 < scene.uploader.stored_up_to(voice) <= scene.now


async def test_what_nobody_asks_about_any_more_is_forgotten(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 12)
    await scene.store_all()
    camera, voice = (track_prefix(scene.tracks[kind]) for kind in (CAMERA, VOICE))
    stored = scene.uploader.stored_up_to(camera)
    scene.uploader.keep_only({camera})
    assert scene.uploader.stored_up_to(camera) == stored
    assert scene.uploader.stored_up_to(voice) is None
    scene.capture(recorder, 12)
    await scene.store_all()
    assert scene.uploader.stored_up_to(voice) > stored, "known again with the next piece"


@pytest.mark.parametrize("error", [StoreRefused("object lock"), StoreUnavailable("timed out"), MemoryError()])
async def test_of_failures_nothing_is_remembered_of_what_was_erased(scene, error):
    """Discarded before, while and after its put fails."""
    recorder = scene.recorder()
    scene.capture(recorder, 6)
    recorder.close()
    prefix = recording_prefix(scene.ref)

    def fault(verb: str, key: str) -> None:
        if verb == "put":
            raise error

    scene.store.fault = fault
    await scene.uploader.round()
    uploader = scene.uploader
    assert uploader._failed
    entered, go_on = threading.Event(), threading.Event()

    def slow(verb: str, key: str) -> None:
        entered.set()
        assert go_on.wait(60)
        fault(verb, key)

    scene.store.fault = slow
    scene.now += 31
    uploading = asyncio.create_task(uploader.round())
    assert await asyncio.to_thread(entered.wait, 60)
    discarding = asyncio.create_task(uploader.discard(prefix))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(uploading, discarding)
    assert not uploader._failed and not uploader._refused
    assert uploader.health().refused == 0 and uploader.health().pieces == 0


async def test_what_is_discarded_on_its_way_is_taken_back(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 6)
    recorder.close()
    entered, go_on = threading.Event(), threading.Event()
    put = scene.store.put

    def slow(key: str, data: bytes) -> None:
        entered.set()
        assert go_on.wait(60)
        put(key, data)

    scene.store.put = slow
    uploading = asyncio.create_task(scene.uploader.round())
    assert await asyncio.to_thread(entered.wait, 60)
    discarding = asyncio.create_task(scene.uploader.discard(recording_prefix(scene.ref)))
    await asyncio.sleep(0)
    assert not discarding.done(), "nothing may be on its way once discarding has returned"
    go_on.set()
    assert await discarding > 0
    await uploading
    assert scene.store.objects == {} and scene.spool.used_bytes == 0


async def test_it_runs_until_cancelled(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 6)
    recorder.close()
    done = asyncio.Event()
    scene.uploader._on_stored = lambda piece: done.set() if scene.spool.waiting().ready == 0 else None
    running = asyncio.create_task(scene.uploader.run())
    await asyncio.wait_for(done.wait(), 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
