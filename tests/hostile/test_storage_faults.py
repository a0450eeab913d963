"""The object store errs, hangs, dawdles, resets and lies while a person is recorded: capture does not notice, people
are told within half a minute, and afterwards every byte is stored exactly once, with nobody's help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.room.health import Why, Word
from app.room.node_messages import HealthFacts, StreamAsk
from app.room.node_numbers import MediaNumbers
from recordings.capture.recorder import CaptureState, StreamRecorder
from recordings.capture.segments import SEGMENT_S
from recordings.capture.spool import Spool
from recordings.capture.uploader import ALARM_S, Uploader
from recordings.encryption.keystore import KeyPath
from recordings.encryption.memory import MemoryKeyStore
from recordings.encryption.sealed import SealBroken
from recordings.finalise import finalise
from recordings.model import (
    AccountId,
    Frame,
    PersonId,
    RecordingId,
    RecordingRef,
    SessionId,
    StreamKind,
    TrackId,
    TrackKind,
    TrackRef,
)
from recordings.playback import open_view
from recordings.storage.layout import recording_prefix, track_key_path
from recordings.storage.s3 import S3Store
from recordings.storage.store import StoreError, StoreUnavailable
from tests.app.loopback import accept, offering, until
from tests.app.node_scene import Scene as NodeScene
from tests.app.node_scene import rooms
from tests.app.room_stage import allow
from tests.fixtures.weed import MortalWeed, Weed
from tests.hostile import trial
from tests.hostile.fault_proxy import Fault, FaultProxy, proxied
from tests.promises.sources import Clock
from tests.recordings.scene import play

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
BOTH = frozenset({CAMERA, VOICE})
TOLD_WITHIN_S = 30.0


@dataclass
class Capture:
    """A recorder fed with generated frames, and a spool that drains into a real service behind the proxy."""

    proxy: FaultProxy
    store: S3Store  # through the proxy
    straight: S3Store
    clock: Clock
    spool: Spool
    uploader: Uploader
    recorder: StreamRecorder
    recording: RecordingRef
    tracks: dict[TrackKind, TrackRef]
    keys: MemoryKeyStore
    closed: dict[str, bytes]

    async def record(self, seconds: float, *, storing: bool = True) -> list[Frame]:
        """Five seconds at a time, as fast as frames can be made, one round of storing after each."""
        frames: list[Frame] = []
        for at in range(0, int(seconds), 5):
            frames += self.clock.send(self.recorder, BOTH, min(5.0, seconds - at))
            await self.spool.settle()
            self.closed |= {piece.key: piece.path.read_bytes() for piece in self.spool.pieces()}
            if storing:
                await self.uploader.round()
        return frames

    async def drain(self, *, limit_s: float = 90.0) -> None:
        """Until nothing waits; the clock goes on as it would while the uploader waits between its tries."""
        async with asyncio.timeout(limit_s):
            while self.spool.waiting().ready:
                await self.spool.settle()
                self.closed |= {piece.key: piece.path.read_bytes() for piece in self.spool.pieces()}
                if not await self.uploader.round():
                    self.clock.now += 10.0

    def all_is_there(self, frames: list[Frame]) -> None:
        """Every closed piece is one object of the same bytes, nothing else is; every frame opens from its seal."""
        found = list(self.straight.remains(recording_prefix(self.recording)))
        assert sorted(thing.key for thing in found) == sorted(self.closed), "nothing missing, nothing doubled"
        for key, data in self.closed.items():
            assert self.straight.get(key) == data
        summary = finalise(self.straight, self.keys, self.recording, list(self.tracks.values()), 1)
        assert not summary.interrupted
        assert summary.gaps == ()
        view = open_view(self.straight, self.keys, self.recording, summary.object_key, 1, list(self.tracks.values()))
        played = play(b"".join(view.read()))
        for kind, name in ((CAMERA, "video"), (VOICE, "audio")):
            assert [packet.data for packet in played[name]] == [f.data for f in frames if f.kind is kind]


@asynccontextmanager
async def capture(weed: Weed, folder: Path, *, seed: int = 1, quota: int = 1 << 28) -> AsyncIterator[Capture]:
    recording = RecordingRef(
        account=AccountId(uuid4()),
        session=SessionId(uuid4()),
        person=PersonId(uuid4()),
        recording=RecordingId(uuid4()),
        kind=StreamKind.CAMERA,
    )
    tracks = {kind: TrackRef(of=recording, track=TrackId(uuid4()), kind=kind) for kind in BOTH}
    keys, clock = MemoryKeyStore(), Clock()
    keys.create(KeyPath(recording.account))
    keys.create(KeyPath(recording.account, recording.person))
    made = {kind: keys.create(track_key_path(track)) for kind, track in tracks.items()}
    async with proxied(weed, seed=seed) as proxy:
        store = proxy.store(weed)
        spool = Spool(folder / "spool", quota, clock)
        recorder = StreamRecorder(recording, tracks, 1, spool, made, clock)
        recorder.permit(BOTH, "consent")
        uploader = Uploader(spool, store, now=clock, put_limit_s=3.0)
        yield Capture(
            proxy=proxy,
            store=store,
            straight=weed.store(),
            clock=clock,
            spool=spool,
            uploader=uploader,
            recorder=recorder,
            recording=recording,
            tracks=tracks,
            keys=keys,
            closed={},
        )


@pytest.mark.parametrize("fault", Fault)
async def test_whatever_storage_does_nothing_is_lost_doubled_or_kept_quiet(
    weed: Weed, tmp_path: Path, fault: Fault
) -> None:
    async with capture(weed, tmp_path) as scene:
        frames = await scene.record(5)
        await scene.drain()
        began_at, scene.proxy.fault = scene.clock.now, fault
        frames += await scene.record(25, storing=False)
        await scene.uploader.round()
        assert scene.proxy.met[fault] > 0
        health = scene.recorder.health()
        assert health.state is CaptureState.RECORDING
        assert health.tracks[CAMERA].frames + health.tracks[VOICE].frames == len(frames), "capture does not notice"
        if fault is not Fault.SLOW:
            assert scene.clock.now - began_at <= TOLD_WITHIN_S
            assert scene.uploader.health().failing, "people are told"
            assert scene.spool.waiting().ready > 0
        scene.proxy.fault = None
        frames += await scene.record(5)
        scene.recorder.close()
        await scene.drain()
        assert scene.uploader.health().failing is None
        assert scene.spool.used_bytes == 0
        scene.all_is_there(frames)


async def test_a_storage_that_is_killed_and_comes_back_on_what_it_left(mortal_weed: MortalWeed, tmp_path: Path) -> None:
    """kill -9, with pieces on their way: a minute goes on into the spool, and drains by itself afterwards."""
    async with capture(mortal_weed.service, tmp_path) as scene:
        frames = await scene.record(10)
        await scene.spool.settle()
        storing = asyncio.create_task(scene.uploader.round())
        await asyncio.to_thread(mortal_weed.kill)
        await storing
        began_at = scene.clock.now
        frames += await scene.record(30, storing=False)
        await scene.uploader.round()
        assert scene.uploader.health().failing and scene.clock.now - began_at <= TOLD_WITHIN_S
        frames += await scene.record(30, storing=False)
        assert scene.recorder.health().state is CaptureState.RECORDING
        assert scene.spool.waiting().ready > 0
        await asyncio.to_thread(mortal_weed.start)
        scene.recorder.close()
        await scene.drain()
        assert scene.uploader.health().failing is None
        assert scene.spool.used_bytes == 0
        scene.all_is_there(frames)


async def test_faults_that_come_and_go_at_random_lose_nothing(weed: Weed, tmp_path: Path) -> None:
    seed = trial.seed()
    chance = random.Random(seed)
    some = [fault for fault in Fault if fault is not Fault.SILENT]
    async with capture(weed, tmp_path, seed=seed) as scene:
        scene.proxy.fault = lambda: chance.choice(some) if chance.random() < 0.6 else None
        frames = await scene.record(40)
        scene.recorder.close()
        scene.proxy.fault = None
        await scene.drain()
        scene.all_is_there(frames)


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.GARBAGE, Fault.OTHER_BYTES, Fault.YES_TO_ALL, Fault.RESET])
async def test_what_is_read_wrongly_makes_no_index_and_no_fault_of_an_unknown_kind(
    weed: Weed, tmp_path: Path, fault: Fault
) -> None:
    """Reading fails as the port says it does, or the seal does not open; once storage is well, all is there."""
    async with capture(weed, tmp_path) as scene:
        frames = await scene.record(5)
        scene.recorder.close()
        await scene.drain()
        key = next(iter(scene.closed))
        scene.proxy.fault = fault

        def read() -> object:
            try:
                data = scene.store.get(key)
            except StoreError as error:
                return error
            return data == scene.closed[key]

        assert await asyncio.to_thread(read) is not True
        with pytest.raises((StoreError, SealBroken)):
            await asyncio.to_thread(finalise, scene.store, scene.keys, scene.recording, list(scene.tracks.values()), 1)
        scene.proxy.fault = None
        scene.all_is_there(frames)


async def test_a_store_that_dawdles_without_end_is_left_to_itself(tmp_path: Path) -> None:
    """One byte a second keeps every time-out quiet: the piece is tried again beside it, and storing goes on."""
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Dawdling:
        calls = 0

        def put(self, key: str, data: bytes) -> None:
            self.calls += 1
            if self.calls == 1:
                asyncio.run_coroutine_threadsafe(released.wait(), loop).result(90)
                raise StoreUnavailable("at last")

    spool, store = Spool(tmp_path / "spool", 1 << 20), Dawdling()
    uploader = Uploader(spool, store, lanes=1, put_limit_s=0.05)  # type: ignore[arg-type]
    for number in range(3):
        spool.append(f"a/t/s/00001-{number:06}", b"sealed")
        spool.close(f"a/t/s/00001-{number:06}")
    assert await uploader.round() == 0
    assert uploader.health().failing
    uploader._put_limit_s = 60.0  # of those that do not dawdle none is left, however slow this machine is
    assert await uploader.round() == 3
    assert uploader.health().failing is None
    erasing = asyncio.create_task(uploader.discard("a/"))
    await asyncio.sleep(0)
    assert not erasing.done(), "something of it is still on its way"
    released.set()
    await asyncio.wait_for(erasing, 60)


async def test_one_piece_that_cannot_be_stored_holds_up_no_other(tmp_path: Path) -> None:
    class Poisoned:
        def put(self, key: str, data: bytes) -> None:
            if data == b"poison":
                raise StoreUnavailable("500")

    spool = Spool(tmp_path / "spool", 1 << 20)
    uploader = Uploader(spool, Poisoned(), lanes=1)  # type: ignore[arg-type]
    for number in range(20):
        spool.append(f"a/t/s/00001-{number:06}", b"poison" if number == 0 else b"sealed")
        spool.close(f"a/t/s/00001-{number:06}")
    assert await uploader.round() == 0
    assert await uploader.round() == 19
    assert uploader.health().failing


async def test_leftovers_of_an_earlier_life_are_no_alarm_before_they_could_be_stored(tmp_path: Path) -> None:
    clock = Clock()
    spool = Spool(tmp_path / "spool", 1 << 20, clock)
    spool.append("a/t/s/00001-000000", b"sealed")
    spool.close("a/t/s/00001-000000")
    clock.now += 3_600
    uploader = Uploader(spool, object(), now=clock)  # type: ignore[arg-type]
    assert uploader.health().failing is None
    assert uploader.health().oldest_waiting_s >= 3_600
    clock.now += ALARM_S + 1
    assert uploader.health().failing
    assert ALARM_S + SEGMENT_S < TOLD_WITHIN_S, "by the line of a stream too (app/room/health.py)"


async def test_a_real_publisher_is_recorded_through_it_and_the_room_and_the_metrics_say_so(
    weed: Weed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(weed) as proxy, rooms(tmp_path) as scene:
        uploader = Uploader(scene.spool, proxy.store(weed))
        scene.rooms._uploader = uploader
        numbers = CollectorRegistry()
        numbers.register(MediaNumbers(scene.rooms, scene.spool, uploader))
        proxy.fault = Fault.ERROR_503
        storing = asyncio.create_task(uploader.run())
        pc, _, _, offer = await offering()
        ask = scene.ask(offer)
        try:
            made = await scene.rooms.publish(ask)
            await accept(pc, made.sdp)
            await until(lambda: _recording(scene, ask), "frames are kept")
            await until(
                lambda: _recording(scene, ask) and scene.rooms.facts(ask.session).failing,
                "the room is told",
            )
            with monkeypatch.context() as sooner:
                sooner.setattr("app.room.health.ALARM_S", 1.0)  # with the real one it is told in time, see below
                await until(
                    lambda: _recording(scene, ask) and _health(scene, ask).word is Word.NOT_STORED,
                    "the stream's line says that it is not being stored",
                )
            assert Why.LATE in _health(scene, ask).why
            told = generate_latest(numbers).decode()
            assert "junier_media_storing_trouble 1.0" in told
            kept = scene.kept(ask, CAMERA)
            await until(lambda: _recording(scene, ask) and scene.kept(ask, CAMERA) > kept + 10, "capture goes on")
            proxy.fault = None
            await scene.rooms.end(ask.resource)
            await until(lambda: not scene.spool.waiting().ready, "the spool drains by itself")
            assert scene.rooms.facts(ask.session).failing is None
            assert "junier_media_storing_trouble 0.0" in generate_latest(numbers).decode()
        finally:
            storing.cancel()
            await pc.close()
            await asyncio.gather(storing, return_exceptions=True)
        stored = list(weed.store().list(recording_prefix(ask.recording_ref)))
        assert len(stored) == len({thing.key for thing in stored}) >= 4


def _health(scene: NodeScene, ask: StreamAsk) -> HealthFacts:
    health = scene.stream(ask).health
    assert health is not None
    return health


def _recording(scene: NodeScene, ask: StreamAsk) -> bool:
    """Permission is a lease: renewed at every look, at which the clock of the rooms goes on too."""
    scene.clock += 0.1
    scene.rooms.permit(ask.session, allow(ask, as_of=asyncio.get_running_loop().time()))
    return all(track.frames > 10 for track in scene.stream(ask).tracks)
