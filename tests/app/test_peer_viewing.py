"""A published stream is viewed, by real peers on loopback."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from app.room import peer
from recordings.model import TrackKind
from tests.app.loopback import (
    HERE,
    Published,
    client,
    offer_of,
    offering,
    publish,
    published,
    until,
    watching,
)


def camera(scene: Published) -> int:
    return len(scene.sink.of(TrackKind.CAMERA))


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
        with pytest.raises(peer.SourceEnded):
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
