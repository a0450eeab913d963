"""Datagrams from strangers and from hostile participants: the stream goes on and the log stays quiet.

One row per line of the table in the threat model; stock aiortc 1.16 dies or never connects on the first four.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count, pairwise

import pytest
from aioice import stun
from aiortc import RTCCertificate, RTCPeerConnection
from aiortc.rtcdtlstransport import SRTP_PROFILES
from aiortc.rtp import RtpPacket
from OpenSSL import SSL

from app.room import peer
from recordings.capture import aiortc_internals
from recordings.capture.aiortc_internals import MOST_QUEUED, MOST_SSRCS, refused
from recordings.capture.incoming_track import IncomingTrack
from recordings.capture.reorder import MOST_WAITING
from recordings.model import TrackKind
from tests.app.loopback import Published, published, until

EMPTY = b""
ALERT = bytes.fromhex("15fefd000000000000000000020228")  # fatal handshake_failure, in clear
HANDSHAKE = bytes.fromhex("16fefd00000000000000000032") + bytes(range(50))  # a record of garbage
CHANCE = random.Random(7)


def short_priority() -> bytes:
    """A binding request whose PRIORITY has two bytes instead of four (RFC 8445 §7.1.1)."""
    attribute = struct.pack("!HH", 0x0024, 2) + b"\0\1\0\0"
    return struct.pack("!HHL", 0x0001, len(attribute), 0x2112A442) + os.urandom(12) + attribute


def noise() -> bytes:
    return CHANCE.randbytes(CHANCE.randrange(1_400))


class Stranger:
    """Sends to the media port from an address that has nothing to do with the session."""

    def __init__(self, publication: peer.Publication) -> None:
        found = re.search(r"a=candidate:.* 127\.0\.0\.1 (\d+) typ host", publication.answer_sdp)
        assert found
        self._to = ("127.0.0.1", int(found[1]))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.2", 0))

    async def send(self, make: Callable[[], bytes], count: int, *, heard: Callable[[], int] | None = None) -> None:
        """heard: how many have arrived; without it nobody cares for what the kernel's buffer has no room for."""
        for n in range(count):
            self._socket.sendto(make(), self._to)
            if n % 20 == 19:
                await asyncio.sleep(0.002)
                if heard is not None:
                    await until(lambda sent=n + 1: heard() >= sent, "all that was sent", 60)  # type: ignore[misc]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No traceback, no warning: a log that an attacker can fill is a fault too."""
    refused.clear()
    caplog.set_level(logging.WARNING)
    yield
    told = [record for record in caplog.get_records("call") if record.name != "asyncio"]  # its own: see `streaming`
    assert told == []


@asynccontextmanager
async def streaming() -> AsyncIterator[Published]:
    """A stream that is being received, with nothing reaching the event loop's exception handler."""
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with published() as scene:
        yield scene
    assert faults == []


async def goes_on(scene: Published) -> None:
    before = len(scene.sink.of(TrackKind.CAMERA))
    await until(lambda: len(scene.sink.of(TrackKind.CAMERA)) >= before + 10, "10 more pictures")
    assert scene.publication.state is peer.PeerState.CONNECTED
    assert scene.sink.holes == []


@pytest.mark.parametrize(
    "make, count, reason",
    [
        (lambda: EMPTY, 1, "empty"),
        (lambda: ALERT, 50, "unproven source"),
        (short_priority, 50, "malformed STUN"),
        (noise, 2_000, "unproven source"),
        (lambda: b"\x16", 50, "unproven source"),
        (lambda: b"\0", 1_000, "malformed STUN"),
        (lambda: b"\x80" + os.urandom(200), 1_000, "unauthenticated"),
        (lambda: b"\x80\xc8" + os.urandom(60), 1_000, "unauthenticated"),
        (lambda: os.urandom(60_000), 20, "unproven source"),
    ],
    ids=[
        "1 empty",
        "50 DTLS alerts",
        "50 STUN with short PRIORITY",
        "2000 random",
        "50 of one byte",
        "1000 that are no STUN",
        "1000 forged RTP",
        "1000 forged RTCP",
        "20 of 60 kB",
    ],
)
async def test_a_stranger_cannot_disturb_a_stream(make: Callable[[], bytes], count: int, reason: str) -> None:
    async with streaming() as scene:
        await until(lambda: scene.sink.frames, "a frame")
        stranger = Stranger(scene.publication)
        await stranger.send(make, count)
        await goes_on(scene)
        stranger.close()
        assert refused[reason] > 0


@pytest.mark.parametrize(
    "datagram", [EMPTY, ALERT, HANDSHAKE], ids=["empty", "DTLS alert", "DTLS handshake of garbage"]
)
async def test_a_stranger_cannot_disturb_a_handshake(datagram: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """600 of them, from before the client has its answer until after the handshake."""
    sending: list[asyncio.Task[None]] = []
    publish = peer.publish

    async def publish_under_fire(*args: object, **named: object) -> peer.Publication:
        publication = await publish(*args, **named)  # type: ignore[arg-type]
        stranger = Stranger(publication)
        sending.append(asyncio.ensure_future(stranger.send(lambda: datagram, 600, heard=refused.total)))
        sending[0].add_done_callback(lambda _: stranger.close())
        return publication

    monkeypatch.setattr(peer, "publish", publish_under_fire)
    async with streaming() as scene:
        await until(lambda: scene.sink.frames, "a frame")
        await sending[0]
        await goes_on(scene)
    assert sum(refused.values()) >= 600  # and what came from the client before its way was proven


async def test_what_queues_for_the_handshake_is_bounded() -> None:
    """A participant's own address may send DTLS as fast as it likes; memory does not grow."""
    async with streaming() as scene:
        await until(lambda: scene.sink.frames, "a frame")
        connection = scene.publication._dtls.transport._connection
        pair = connection._nominated[1]
        for _ in range(MOST_QUEUED * 2):
            pair.protocol.datagram_received(b"\x17\xfe\xfd" + bytes(10), pair.remote_addr)
        assert connection._queue.qsize() <= MOST_QUEUED
        assert refused["queue full"] == MOST_QUEUED
        await goes_on(scene)


async def test_a_participant_cannot_make_the_server_remember_ssrcs_without_end() -> None:
    async with streaming() as scene:
        await until(lambda: {frame.kind for frame in scene.sink.frames} == {TrackKind.CAMERA, TrackKind.VOICE}, "both")
        dtls = scene.pc.getTransceivers()[0].receiver.transport
        for ssrc in range(1_000, 1_200):
            await dtls._send_rtp(RtpPacket(payload_type=120, sequence_number=1, ssrc=ssrc, payload=b"x").serialize())
        await goes_on(scene)
        transport = scene.publication._transport
        assert transport is not None
        assert len(transport._ssrcs) == MOST_SSRCS
        assert refused["too many SSRCs"] >= 190


async def test_a_participant_cannot_fill_the_list_of_pairs() -> None:
    """Checks with the right password from ever new ports (RFC 8445 §6.1.2.5)."""
    async with streaming() as scene:
        await until(lambda: scene.sink.frames, "a frame")
        connection = scene.publication._dtls.transport._connection
        protocol = connection._nominated[1].protocol
        for port in range(2_000, 2_300):
            protocol.datagram_received(check(connection, priority=True), ("127.0.0.9", port))
        assert len(connection._check_list) <= aiortc_internals.MOST_PAIRS
        await goes_on(scene)


async def test_a_check_without_priority_is_refused_and_not_fatal() -> None:
    """ffmpeg 8.0 sends such; aioice would raise KeyError inside connect()."""
    async with streaming() as scene:
        await until(lambda: scene.sink.frames, "a frame")
        connection = scene.publication._dtls.transport._connection
        protocol = connection._nominated[1].protocol
        protocol.datagram_received(check(connection, priority=False), ("127.0.0.9", 2_000))
        assert refused["malformed STUN"] == 1
        await goes_on(scene)


def check(connection: object, *, priority: bool) -> bytes:
    """An authenticated connectivity check as the participant's browser would send it."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{connection.local_username}:{connection.remote_username}"  # type: ignore[attr-defined]
    if priority:
        request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 1 << 63
    request.add_message_integrity(connection.local_password.encode())  # type: ignore[attr-defined]
    return bytes(request)


async def test_replayed_media_is_not_taken_twice() -> None:
    async with published(before_answer=record) as scene:
        await until(lambda: len(scene.sink.of(TrackKind.CAMERA)) >= 10, "10 pictures")
        pair = scene.publication._dtls.transport._connection._nominated[1]
        for datagram in tuple(RECORDED):
            pair.protocol.datagram_received(datagram, pair.remote_addr)
        assert refused["unauthenticated"] >= len(RECORDED) // 2
        await goes_on(scene)


RECORDED: list[bytes] = []


def record(pc: RTCPeerConnection) -> None:
    transport = pc.getTransceivers()[0].receiver.transport.transport
    send = transport._send
    RECORDED.clear()

    async def tell(data: bytes) -> None:
        if 127 < data[0] < 192 and len(RECORDED) < 10:
            RECORDED.append(data)
        await send(data)

    transport._send = tell


def test_a_changed_library_is_noticed_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    aiortc_internals.check_internals()
    monkeypatch.delattr(aiortc_internals.ice.Connection, "check_incoming")
    with pytest.raises(aiortc_internals.InternalsChanged, match="check_incoming"):
        aiortc_internals.check_internals()


async def test_ciphers_are_authenticated_and_each_connection_has_its_own_certificate() -> None:
    aiortc_internals.guard()
    context = RTCCertificate.generateCertificate()._create_ssl_context(srtp_profiles=SRTP_PROFILES)
    suites = SSL.Connection(context).get_cipher_list()
    assert suites and all(one.startswith(("TLS_", "ECDHE-")) for one in suites)
    assert all("GCM" in one or "POLY1305" in one for one in suites)
    assert not [one.openssl_profile for one in SRTP_PROFILES if b"NULL" in one.openssl_profile]
    async with published() as one, published() as other:
        shown = [re.findall(r"a=fingerprint:sha-256 (\S+)", scene.publication.answer_sdp)[0] for scene in (one, other)]
    assert shown[0] != shown[1]


def received(scene: Published) -> list[IncomingTrack]:
    assert scene.publication._reception is not None
    return list(scene.publication._reception._tracks.values())


async def test_a_flood_from_a_participant_hurts_nobody_elses_recording() -> None:
    """5 000 genuine packets as fast as they can be sent: of his own stream, of no stream, with numbers that jump."""
    async with streaming() as other, published() as scene:
        await until(lambda: scene.sink.frames and other.sink.frames, "a frame of each")
        transport = scene.pc.getTransceivers()[0].receiver.transport
        video = next(one for one in scene.pc.getSenders() if one.track and one.track.kind == "video")
        video.replaceTrack(None)  # nothing honest beside it
        await asyncio.sleep(0.1)
        mine = next(iter(t for t in received(scene) if t.kind is TrackKind.CAMERA))
        first = mine.buffer.highest + 100
        for number in count():
            if number >= 5_000 and scene.publication.traffic.bytes > 300_000:  # they arrive
                break
            forged = RtpPacket(
                payload_type=(97, 97, 127)[number % 3],
                sequence_number=first + number * 5 & 0xFFFF,
                timestamp=CHANCE.randrange(1 << 32),
                ssrc=video._ssrc,
                payload=CHANCE.randbytes(200),
            )
            await transport._send_rtp(forged.serialize())
            if number % 100 == 99:
                await asyncio.sleep(0.005)
        waiting = [len(track.buffer._waiting) + len(track.buffer._missing) for track in received(scene)]
        assert max(waiting) <= 2 * MOST_WAITING
        await goes_on(other)
        pictures = other.sink.of(TrackKind.CAMERA)
        assert all(abs(b.ticks - a.ticks - 3000) <= 1 for a, b in pairwise(pictures)), "none is missing"
