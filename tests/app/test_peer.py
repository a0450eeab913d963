"""A stream is published to the room and viewed, by real peers on loopback."""

from __future__ import annotations

from app.room import peer
from recordings.model import TrackKind
from tests.app.loopback import decoded, published, until


async def test_a_published_stream_arrives_whole() -> None:
    async with published() as scene:
        await until(lambda: len(scene.sink.of(TrackKind.CAMERA)) >= 20, "20 pictures")
        await until(lambda: len(scene.sink.of(TrackKind.VOICE)) >= 20, "20 sounds")
        await until(
            lambda: {report.kind for report in scene.sink.reports} == {TrackKind.CAMERA, TrackKind.VOICE}, "reports"
        )
        assert scene.publication.state is peer.PeerState.CONNECTED
    pictures = scene.sink.of(TrackKind.CAMERA)
    assert pictures[0].key
    assert (pictures[0].width, pictures[0].height) == (160, 120)
    assert len(decoded(pictures)) == len(pictures)
    steps = [b.ticks - a.ticks for a, b in zip(pictures, pictures[1:], strict=False)]
    assert all(abs(step - 3000) <= 1 for step in steps)  # libvpx rounds
    assert scene.sink.holes == []
    assert scene.ends == [peer.Ended.LEFT]
