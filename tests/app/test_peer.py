"""A stream is published to the room and viewed, by real peers on loopback."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
from aioice import ice
from aiortc import RTCSessionDescription

from app.room import peer
from recordings.capture import aiortc_internals
from recordings.capture.aiortc_internals import LAST_ROUND_S
from recordings.capture.faults import faults
from recordings.model import StreamKind, TrackKind
from tests.app.loopback import (
    BOTH,
    HERE,
    Collected,
    Network,
    Published,
    client,
    decoded,
    offer_of,
    offering,
    published,
    until,
    watching,
)


def camera(scene: Published) -> int:
    return len(scene.sink.of(TrackKind.CAMERA))


def voice(scene: Published) -> int:
    return len(scene.sink.of(TrackKind.VOICE))


# ---- publishing -----------------------------------------------------------------------------------


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


async def test_what_the_network_loses_is_sent_again_sound_included() -> None:
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
        async with asyncio.timeout(10):
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
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 2)
    async with published() as scene:
        await until(lambda: camera(scene) >= 1, "a picture")
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


async def publish(offer: str, kinds: frozenset[TrackKind] = BOTH, sink: Collected | None = None) -> peer.Publication:
    return await peer.publish(
        offer, kinds=kinds, stream=StreamKind.CAMERA, offer_addresses=HERE, sink=sink or Collected()
    )


# ---- what is refused ------------------------------------------------------------------------------


async def test_a_wrong_fingerprint_never_gives_media() -> None:
    pc, _, _, offer = await offering()
    forged = re.sub(r"(a=fingerprint:\S+ )(..)", lambda found: found[1] + ("00" if found[2] != "00" else "01"), offer)
    assert forged != offer
    ends: list[peer.Ended] = []
    sink = Collected()
    publication = await publish(forged, sink=sink)
    publication.on_closed = ends.append
    await pc.setRemoteDescription(answer(publication))
    await until(lambda: ends, "its end")
    await pc.close()
    assert ends == [peer.Ended.LOST]
    assert sink.frames == []


def answer(publication: peer.Publication) -> RTCSessionDescription:
    return RTCSessionDescription(sdp=publication.answer_sdp, type="answer")


async def test_a_kind_not_agreed_to_is_refused() -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.KindRefused):
        await publish(offer, kinds=frozenset({TrackKind.VOICE}))
    await pc.close()


async def test_sound_alone_is_a_stream() -> None:
    pc = client()
    pc.addTransceiver("audio", direction="sendonly")
    publication = await publish(await offer_of(pc), kinds=frozenset({TrackKind.VOICE}))
    assert publication.kinds == {TrackKind.VOICE}
    await publication.close()
    await pc.close()


async def test_only_vp8_and_opus_are_answered() -> None:
    pc, _, _, offer = await offering()
    publication = await publish(offer)
    assert "H264" in offer
    assert set(re.findall(r"a=rtpmap:\d+ (\w+)/", publication.answer_sdp)) == {"VP8", "rtx", "opus"}
    opus = re.search(r"a=rtpmap:(\d+) opus", publication.answer_sdp)
    assert opus and f"a=rtcp-fb:{opus[1]} nack" in publication.answer_sdp
    await publication.close()
    await pc.close()


async def test_we_are_the_dtls_server_where_the_offer_leaves_it_open() -> None:
    pc, _, _, offer = await offering()
    publication = await publish(offer)
    assert set(re.findall(r"a=setup:(\w+)", publication.answer_sdp)) == {"passive"}
    await publication.close()
    await pc.close()


def without(pattern: str) -> Callable[[str], str]:
    return lambda offer: "".join(line for line in offer.splitlines(True) if not re.match(pattern, line))


def replaced(pattern: str, by: str) -> Callable[[str], str]:
    return lambda offer: re.sub(pattern, by, offer)


BAD: dict[str, Callable[[str], str]] = {
    "empty": lambda offer: "",
    "no SDP": lambda offer: "hello",
    "NUL": lambda offer: "\0" * 100,
    "cut in the middle": lambda offer: offer[: len(offer) // 2],
    "no fingerprint": without("a=fingerprint"),
    "no ICE password": without("a=ice-pwd"),
    "no setup": without("a=setup"),
    "unknown setup": replaced("a=setup:actpass", "a=setup:maybe"),
    "no rtcp-mux": without("a=rtcp-mux"),
    "no mid": without("a=mid"),
    "no bundle": without("a=group:BUNDLE"),
    "payload type of a poet": replaced(r"a=rtpmap:\d+", "a=rtpmap:one"),
    "payload types of eight bits": replaced(r"a=rtpmap:97 ", "a=rtpmap:225 "),
    "repairs of a payload type of eight bits": replaced(r"apt=97", "apt=225"),
    "repairs with a payload type of eight bits": replaced(r"a=(rtpmap|fmtp):98 ", r"a=\1:226 "),
    "repairs with a negative payload type": replaced(r"a=(rtpmap|fmtp):98 ", r"a=\1:-98 "),
    "fmtp for nothing": lambda offer: offer + "a=fmtp:55 x=1\r\n",
    "address that is none": replaced(r"c=IN IP4 \S+", "c=IN IP5 x"),
    "broken SSRC": replaced(r"a=ssrc:\d+ cname", "a=ssrc:x cname"),
    "broken m line": replaced(r"m=video \d+", "m=video x"),
    "two cameras": lambda offer: offer + "m=video" + offer.split("m=video")[1].split("m=")[0],
    "data channel": lambda offer: offer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:9\r\n",
    "receiving only": replaced("a=sendrecv|a=sendonly", "a=recvonly"),
    "5 000 candidates": lambda offer: offer + "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n" * 5_000,
    "201 candidates": lambda offer: offer + "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n" * 201,
    "too long": lambda offer: offer + "a=x\r\n" * 20_000,
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
async def test_a_bad_offer_is_refused_in_words(change: Callable[[str], str]) -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.BadOffer) as refusal:
        await publish(change(offer))
    assert str(refusal.value).endswith(".")
    await pc.close()


async def test_an_offer_without_vp8_and_h264_is_refused_in_words() -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.UnsupportedMedia, match=r"VP8 or H\.264"):
        await publish(offer.replace("VP8/", "AV1/").replace("H264/", "H265/"))
    await pc.close()


async def test_no_address_to_receive_on_can_be_tried_again() -> None:
    pc, _, _, offer = await offering()
    with pytest.raises(peer.NoMediaAddress) as refusal:
        await peer.publish(
            offer, kinds=BOTH, stream=StreamKind.CAMERA, offer_addresses=["192.0.2.77"], sink=Collected()
        )
    assert refusal.value.retry
    await pc.close()


async def test_nothing_is_sent_to_addresses_named_in_an_offer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.setblocking(False)
        line = f"a=candidate:1 1 udp 2130706431 127.0.0.1 {victim.getsockname()[1]} typ host\r\n"

        def lure(offer: str) -> str:
            """In every place and disguise aiortc's parser would read it from."""
            return (offer.replace("a=mid", line + "a=mid") + line).replace("a=rtcp-mux", "a=rtcp-mux\v" + line.rstrip())

        pc, _, _, offer = await offering()
        publication = await publish(lure(offer))
        await pc.setRemoteDescription(answer(publication))
        await until(lambda: publication.state is peer.PeerState.CONNECTED, "connected")
        await publication.close()
        await pc.close()
        with pytest.raises(BlockingIOError):
            victim.recv(100)


# ---- viewing --------------------------------------------------------------------------------------


async def test_a_viewer_who_comes_late_sees_and_hears_the_stream() -> None:
    async with published() as scene:
        await until(lambda: camera(scene) >= 10, "10 pictures")
        async with watching(scene.publication) as viewer:
            await until(lambda: len(viewer.pictures) >= 10 and len(viewer.sounds) >= 10, "picture and sound")
            assert (viewer.pictures[0].width, viewer.pictures[0].height) == (160, 120)
            assert sum(frame.key for frame in scene.sink.of(TrackKind.CAMERA)) >= 2  # one more for the viewer
            await viewer.pc.close()
            await until(lambda: viewer.ends, "the goodbye")
        assert viewer.ends == [peer.Ended.LEFT]
        before = camera(scene)
        await until(lambda: camera(scene) >= before + 5, "the recording goes on")
    assert scene.sink.holes == []


async def test_what_a_viewer_loses_is_sent_again() -> None:
    async with published() as scene, watching(scene.publication) as viewer:
        await until(lambda: len(viewer.pictures) >= 3, "3 pictures")
        transport = viewer.viewing._transport
        assert transport is not None
        send, sent = transport.send_rtp, 0

        def lossy(packet: bytes) -> None:
            nonlocal sent
            sent += 1
            if sent % 7:
                send(packet)

        transport.send_rtp = lossy  # type: ignore[method-assign, assignment]
        begin = len(viewer.pictures)
        await until(lambda: len(viewer.pictures) >= begin + 40, "40 more pictures")
        stamps = [picture.pts for picture in viewer.pictures if picture.pts is not None]
        assert all(abs(b - a - 3000) <= 1 for a, b in pairwise(stamps))


async def test_viewers_go_when_the_stream_ends() -> None:
    async with published() as scene, watching(scene.publication) as viewer:
        await until(lambda: viewer.pictures, "a picture")
        await scene.publication.close()
        assert viewer.ends == [peer.Ended.SOURCE_ENDED]
        pc = client()
        pc.addTransceiver("video", direction="recvonly")
        with pytest.raises(peer.StreamGone):
            await peer.view(await offer_of(pc), source=scene.publication, offer_addresses=HERE)
        await pc.close()


async def test_a_viewer_must_not_send() -> None:
    pc, _, _, offer = await offering()
    publication = await publish(offer)
    with pytest.raises(peer.BadOffer):
        await peer.view(offer.replace("a=sendrecv", "a=sendonly"), source=publication, offer_addresses=HERE)
    await publication.close()
    await pc.close()


async def test_a_track_that_is_not_published_is_answered_as_inactive() -> None:
    publisher, viewer = client(), client()
    publisher.addTransceiver("audio", direction="sendonly")
    publication = await publish(await offer_of(publisher), kinds=frozenset({TrackKind.VOICE}))
    viewer.addTransceiver("video", direction="recvonly")
    viewer.addTransceiver("audio", direction="recvonly")
    viewing = await peer.view(await offer_of(viewer), source=publication, offer_addresses=HERE)
    assert re.findall(r"a=(inactive|sendonly)", viewing.answer_sdp) == ["inactive", "sendonly"]
    for one in (viewing, publication):
        await one.close()
    for pc in (publisher, viewer):
        await pc.close()


async def test_redundant_sound_is_taken_where_it_is_offered_and_carries_this_opus() -> None:
    def offering_red(carried: str) -> Callable[[str], str]:
        def change(offer: str) -> str:
            offer = re.sub(r"(m=audio \d+ \S+ .*)", r"\1 63", offer)
            return offer.replace(
                "a=rtpmap:96 opus/48000/2",
                f"a=rtpmap:96 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 {carried}",
            )

        return change

    for carried, taken in (("96/96", True), ("97/97", False), ("96/97", False)):
        pc, _, _, offer = await offering()
        opus = re.search(r"a=rtpmap:(\d+) opus", offer)
        assert opus and opus[1] == "96"
        publication = await publish(offering_red(carried)(offer))
        sound = publication.answer_sdp[publication.answer_sdp.index("m=audio") :]
        assert ("a=rtpmap:63 red/48000/2" in sound) is taken
        assert sound.splitlines()[0].split(" ")[3:5][0] == ("63" if taken else "96")
        await publication.close()
        await pc.close()
