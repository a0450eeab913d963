"""One session, three streams that begin one after the other, on two computers whose clocks are wrong: in the finished
files every flash and every beep stands at its true moment, so that all can be laid side by side."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import combinations
from math import inf
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

import msgspec
import pytest

from app.demo import clips
from app.demo.clips import Clip
from app.demo.inspection import Inspection, inspect
from app.room.node_messages import Permission, StreamAsk, TrackAsk
from recordings.capture.recorder import StreamRecorder
from recordings.encryption.keystore import KeyPath
from recordings.model import STREAM_TRACKS, AccountId, PersonId, SenderReport, StreamKind
from recordings.storage.layout import track_key_path
from recordings.timing import FROM_1900_TO_1970_S
from tests.app.light_publisher import LightPublisher
from tests.app.loopback import until
from tests.app.node_scene import Scene, rooms

CAMERA_TO_VOICE_MS = 10.0
STREAM_TO_STREAM_MS = 40.0
PROMPT_S = 0.03
"""What one report at least may take for the session clock to be known that well: a busy machine keeps some waiting."""
LEAST_S = 3.3
"""Of each stream: flashes 1, 2 and 3."""


@dataclass(kw_only=True)
class Stream:
    """Somebody's camera with voice, or their screen. skew_s: of the computer's clock; after_s: begins so much later
    than the first; starts_at: UTC."""

    ask: StreamAsk
    clips: tuple[Clip, ...]
    skew_s: float
    after_s: float
    starts_at: float = 0.0
    quickest_s: float = inf  # of its reports, from sending to being read

    def late_ms(self, found: Inspection, file_starts_at: float) -> float:
        """How far behind the clip its flashes stand on the session's clock. They come once a second."""
        return 1000 * median((file_starts_at + at - self.starts_at + 0.5) % 1 - 0.5 for at in found.flashes)


def asked(scene: Scene, account: UUID, session: UUID, person: UUID, kind: StreamKind) -> StreamAsk:
    ask = StreamAsk(
        account=account,
        session=session,
        person=person,
        recording=uuid4(),
        stream=kind,
        take=1,
        resource=uuid4().hex,
        tracks=[TrackAsk(kind=one, track=uuid4()) for one in STREAM_TRACKS[kind]],
        kinds=list(STREAM_TRACKS[kind]),
        sdp="",
    )
    for track in ask.track_refs.values():
        scene.keys.create(track_key_path(track))
    return ask


def streams_of(scene: Scene) -> list[Stream]:
    """Anna's camera, Ben's camera, and last Anna's screen."""
    account, session, anna, ben = AccountId(uuid4()), uuid4(), PersonId(uuid4()), PersonId(uuid4())
    for path in (KeyPath(account), KeyPath(account, anna), KeyPath(account, ben)):
        scene.keys.create(path)
    one, two, three = (
        asked(scene, account, session, person, kind)
        for person, kind in ((anna, StreamKind.CAMERA), (ben, StreamKind.CAMERA), (anna, StreamKind.SCREEN))
    )
    return [
        Stream(ask=one, clips=(clips.camera(1), clips.speech(1)), skew_s=-431.7, after_s=0.0),
        Stream(ask=two, clips=(clips.camera(2), clips.speech(2)), skew_s=97.3, after_s=0.43),
        Stream(ask=three, clips=(clips.screen(1),), skew_s=-431.7, after_s=1.21),
    ]


def everything(streams: list[Stream]) -> Permission:
    return Permission(
        as_of=1.0,
        live=True,
        streams={one.ask.recording: {track.kind: track.track for track in one.ask.tracks} for one in streams},
        takes={one.ask.recording: 1 for one in streams},
        inside=[one.ask.person for one in streams],
        why="test",
    )


async def published(scene: Scene, streams: list[Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each from its own moment on, until of each there is enough to see and one report was prompt."""
    take_report = StreamRecorder.sender_report

    def noted(recorder: StreamRecorder, report: SenderReport) -> None:
        stream = next(one for one in streams if one.ask.recording == recorder.recording.recording)
        took_s = report.arrived_at - (report.ntp - FROM_1900_TO_1970_S - stream.skew_s)
        stream.quickest_s = min(stream.quickest_s, took_s)
        take_report(recorder, report)

    monkeypatch.setattr(StreamRecorder, "sender_report", noted)

    def is_over(_: float) -> bool:
        return all(one.quickest_s <= PROMPT_S for one in streams) and time.time() > streams[-1].starts_at + LEAST_S

    async with AsyncExitStack() as stack:
        publishers = []
        for stream in streams:
            publisher = LightPublisher(*stream.clips, skew_s=stream.skew_s)
            stack.push_async_callback(publisher.close)
            publishers.append(publisher)

            async def answer_to(offer: str, ask: StreamAsk = stream.ask) -> str:
                return (await scene.rooms.publish(msgspec.structs.replace(ask, sdp=offer))).sdp

            await publisher.connect(answer_to)
        session = streams[0].ask.session
        await until(lambda: all(one.connected for one in scene.rooms.facts(session).streams), "all connected")
        scene.rooms.permit(session, everything(streams))
        for stream in streams:
            stream.starts_at = time.time() + 0.1 + stream.after_s
        await asyncio.gather(
            *(one.play(stream.starts_at, is_over) for one, stream in zip(publishers, streams, strict=True))
        )
        for stream in streams:
            await scene.rooms.end(stream.ask.resource)


async def test_flashes_and_beeps_of_a_session_stand_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rooms(tmp_path) as scene:
        streams = streams_of(scene)
        await published(scene, streams, monkeypatch)
        late: dict[str, float] = {}
        for stream in streams:
            finished = await scene.finished(stream.ask)
            found = await asyncio.to_thread(inspect, finished.file)
            assert len(found.flashes) >= 3
            late[f"{stream.ask.stream} {stream.ask.person}"] = stream.late_ms(found, finished.index.started_at)
            if stream.ask.stream is StreamKind.CAMERA:
                assert found.av_offset_ms is not None
                assert abs(found.av_offset_ms) <= CAMERA_TO_VOICE_MS
        # of a stream whose reports all came late, on a machine that is far too busy, no more can be known than they say
        known_to_ms = 1000 * max(one.quickest_s for one in streams) + CAMERA_TO_VOICE_MS
        most = max(STREAM_TO_STREAM_MS, known_to_ms)
        assert all(abs(one - other) <= most for one, other in combinations(late.values(), 2)), late
