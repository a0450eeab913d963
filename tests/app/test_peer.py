"""A stream is published to the room, by real peers on loopback: what arrives, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
from aioice import ice

from app.room import peer
from recordings.capture import aiortc_internals, incoming_track
from recordings.capture.aiortc_internals import LAST_ROUND_S
from recordings.capture.faults import faults
from recordings.model import TrackKind
from tests.app.loopback import (
    BOTH,
    Network,
    Published,
    decoded,
    offering,
    publish,
    published,
    until,
)


def camera(scene: Published) -> int:
    return len(scene.sink.of(TrackKind.CAMERA))


def voice(scene: Published) -> int:
    return len(scene.sink.of(TrackKind.VOICE))


async def test_a_published_stream_arrives_whole() -> None:
    async with published() as scene:
        await until(lambda: camera(scene) >= 20 and voice(scene) >= 20, "20 of each")
        await until(lambda: {report.kind for report in scene.sink.reports} == BOTH, "reports of both tracks")
        assert scene.publication.state is peer.PeerState.CONNECTED
        assert scene.publication.kinds == BOTH
        await scene.pc.close()
        await until(lambda: scene.ends, "the goodbye")
    pictures = scene.sink.of(TrackKind.CAMERA)
    assert pictures[0].key
    assert (pictures[0].width, pictures[0].height) == (160, 120)
    assert len(decoded(pictures)) == len(pictures)
    assert all(abs(b.ticks - a.ticks - 3000) <= 1 for a, b in pairwise(pictures))  # libvpx rounds
    assert all(b.ticks - a.ticks == 960 for a, b in pairwise(scene.sink.of(TrackKind.VOICE)))
    assert scene.sink.holes == []
    assert scene.ends == [peer.Ended.LEFT]


async def test_what_the_network_loses_is_sent_again_sound_included(monkeypatch: pytest.MonkeyPatch) -> None:
    for patience in ("VIDEO_PATIENCE_S", "AUDIO_PATIENCE_S"):  # a machine that stands still for a second loses nothing
        monkeypatch.setattr(incoming_track, patience, 60.0)
    async with published() as scene:
        network = Network(scene.pc, share=0.10)
        await until(lambda: camera(scene) >= 60 and voice(scene) >= 90, "2 seconds")
        assert network.lost > 5
        # before the stream ends: what is still being asked for then is given up, and is no loss of the way
        pictures, sound, holes = scene.sink.of(TrackKind.CAMERA), scene.sink.of(TrackKind.VOICE), list(scene.sink.holes)
    assert len(decoded(pictures)) == len(pictures)
    assert all(abs(b.ticks - a.ticks - 3000) <= 1 for a, b in pairwise(pictures))
    assert all(b.ticks - a.ticks == 960 for a, b in pairwise(sound))
    assert holes == []


async def test_a_loss_that_is_not_repaired_becomes_a_hole_and_a_key_frame_is_asked_for() -> None:
    async def never(sequence: int) -> None:
        """A sender that does not send again."""

    async with published() as scene:
        await until(lambda: camera(scene) >= 5, "5 pictures")
        for sender in scene.pc.getSenders():
            sender._retransmit = never
        network = Network(scene.pc, share=0.5)
        await until(lambda: network.lost > 3, "a loss")
        network.share = 0
        await until(lambda: any(hole.kind is TrackKind.CAMERA for hole in scene.sink.holes), "the hole is told")
    pictures = scene.sink.of(TrackKind.CAMERA)
    assert len(decoded(pictures)) == len(pictures)
    hole = next(hole for hole in scene.sink.holes if hole.kind is TrackKind.CAMERA)
    assert hole.to_ticks in {picture.ticks for picture in pictures if picture.key}
    assert not any(hole.from_ticks < picture.ticks < hole.to_ticks for picture in pictures)


async def test_a_recording_that_begins_late_begins_with_a_key_frame() -> None:
    async with published(before_answer=lambda pc: Network(pc, first=30)) as scene:
        await until(lambda: camera(scene) >= 5, "5 pictures")
    assert scene.sink.of(TrackKind.CAMERA)[0].key


async def test_closing_twice_is_closing_once() -> None:
    async with published() as scene:
        await until(lambda: camera(scene) >= 1, "a picture")
        await scene.publication.close()
        await scene.publication.close()
        count = len(scene.sink.frames)
        assert scene.publication.state is peer.PeerState.CLOSED
        scene.publication.request_key_frame()
        await until(lambda: scene.pc.connectionState == "closed", "the client notices")
        assert len(scene.sink.frames) == count
    assert scene.ends == [peer.Ended.BY_US]


async def test_the_last_drain_ends_however_much_still_comes_and_keeps_what_it_has_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock turns a millisecond with each datagram, and there is always another one."""
    now, came = 0.0, 0
    monkeypatch.setattr(aiortc_internals, "perf_counter", lambda: now)
    async with published() as scene:
        await until(lambda: camera(scene) >= 1, "a picture")
        transport = scene.publication._transport
        assert transport is not None
        transport._poller.remove(transport)  # nothing is read but by the end itself

        def read(its_socket: socket.socket, buffer: bytearray) -> tuple[int, object]:
            nonlocal now, came
            now, came = now + 0.001, came + 1
            try:
                return its_socket.recvfrom_into(buffer)
            except BlockingIOError:
                buffer[0] = 255  # nothing that is known
                return 1, ("127.0.0.1", 9)

        transport._sockets = [
            (protocol, SimpleNamespace(recvfrom_into=partial(read, one), close=one.close))  # type: ignore[misc]
            for protocol, one in transport._sockets
        ]
        waiting = scene.voice.count
        await until(lambda: scene.voice.count > waiting + 5, "sound that nobody has read yet")
        before = voice(scene)
        await scene.publication.close()
        assert came == round(LAST_ROUND_S / 0.001) * len(scene.ends)
        assert voice(scene) > before
    assert scene.ends == [peer.Ended.BY_US]


async def hangs(_: object) -> None:
    await asyncio.Event().wait()


async def fails(_: object) -> None:
    raise ConnectionError


@pytest.mark.parametrize("close", [hangs, fails])
async def test_a_connection_that_does_not_close_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, close: Callable[[object], object]
) -> None:
    monkeypatch.setattr(peer, "CLOSE_WITHIN_S", 0.05)
    async with published() as scene:
        really = scene.publication._pc.close
        monkeypatch.setattr(scene.publication._pc, "close", lambda: close(None))
        async with asyncio.timeout(60):
            await scene.publication.close()
        assert scene.ends == [peer.Ended.BY_US]
        assert "did not close" in caplog.text
        await really()


async def test_a_fault_in_the_last_frames_ends_the_stream_all_the_same() -> None:
    async with published() as scene:
        await until(lambda: camera(scene) >= 1, "a picture")

        def broken(*_: object) -> None:
            raise LookupError("ours")

        assert scene.publication._reception is not None
        scene.publication._reception.on_rtp = scene.publication._reception.release = broken  # type: ignore[method-assign, assignment]
        before = faults.count
        await scene.publication.close()
        assert faults.count > before
    assert scene.ends == [peer.Ended.BY_US]


async def test_a_peer_that_vanishes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.1)  # RFC 7675: 30 s in life
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 1_000_000)  # a machine that stands still for a moment is no end yet
    async with published() as scene:
        await until(lambda: camera(scene) >= 1, "a picture")
        monkeypatch.setattr(ice, "CONSENT_FAILURES", 2)
        for protocol in scene.pc.getTransceivers()[0].receiver.transport.transport._connection._protocols:
            protocol.transport.abort()  # no goodbye
        await until(lambda: scene.ends, "its end")
    assert scene.ends == [peer.Ended.LOST]


async def test_a_peer_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "CONNECT_WITHIN_S", 0.1)
    pc, _, _, offer = await offering()
    ends: list[peer.Ended] = []
    publication = await publish(offer)
    publication.on_closed = ends.append
    await until(lambda: ends, "its end")
    assert ends == [peer.Ended.NEVER_CAME]
    await publication.close()
    await pc.close()
