"""Real peers that offer nothing but H.264 are recorded, and seen by those whose browser takes it."""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from pathlib import Path

import pytest

from app.room import peer
from app.room.negotiation import Choice, choose
from app.room.offers import UnsupportedView
from app.room.sdp import Section, read_sections
from recordings.model import Codec, TrackKind
from tests.app.loopback import (
    HERE,
    Encoded,
    Network,
    client,
    decoded,
    offer_of,
    offering,
    only,
    publish,
    published,
    until,
    watching,
)
from tests.recordings.test_h264 import encoded

FFMPEG = (Path(__file__).parents[1] / "journeys" / "material" / "ffmpeg-9-h264.sdp").read_text()


async def test_a_stream_of_h264_arrives_whole_and_is_seen() -> None:
    async with published(codec="H264") as scene:
        await until(lambda: len(scene.sink.of(TrackKind.CAMERA)) >= 10, "10 pictures")
        async with watching(scene.publication) as viewer:
            assert "H264" in viewer.viewing.answer_sdp and "VP8" not in viewer.viewing.answer_sdp
            await until(lambda: len(viewer.pictures) >= 10 and len(viewer.sounds) >= 10, "picture and sound")
            assert (viewer.pictures[0].width, viewer.pictures[0].height) == (160, 120)
    pictures = scene.sink.of(TrackKind.CAMERA)
    assert pictures[0].key and (pictures[0].width, pictures[0].height) == (160, 120)
    assert sum(picture.key for picture in pictures) >= 2, "the viewer asked for one more, and got it"
    assert len(decoded(pictures)) == len(pictures)
    assert all(abs(b.ticks - a.ticks - 3000) <= 1 for a, b in pairwise(pictures))
    assert scene.sink.holes == []


def as_stream(units: tuple[bytes, ...]) -> bytes:
    """NAL units behind start codes (ITU-T H.264 annex B)."""
    return b"".join(b"\0\0\0\1" + unit for unit in units)


SETS = [unit for unit in encoded(160, 128)[0] if unit[0] & 31 in (7, 8)]
BARE = [as_stream(tuple(unit for unit in units if unit not in SETS)) for units in encoded(160, 128)]
"""Key frames without their parameter sets, as devices send them that said those once."""
SPROP = ",".join(base64.b64encode(unit).decode() for unit in SETS)


@pytest.mark.parametrize("said", ["once", "in the offer"])
async def test_who_comes_late_to_sets_that_are_not_sent_again_sees_the_picture(said: str) -> None:
    """And a recording whose first packets are lost on the way begins with a key frame and decodes."""
    first = [as_stream(encoded(160, 128)[0])] if said == "once" else []

    def tell(offer: str) -> str:
        return re.sub(r"(a=fmtp:\d+ .*packetization-mode=1.*?)(\r?\n)", rf"\1;sprop-parameter-sets={SPROP}\2", offer)

    async with published(
        codec="H264",
        camera=Encoded([*first, *BARE[len(first) :], *BARE * 100]),
        change_offer=str if said == "once" else tell,
        before_answer=lambda pc: None if said == "once" else Network(pc, first=40),
    ) as scene:
        await until(lambda: len(scene.sink.of(TrackKind.CAMERA)) >= 15, "15 pictures")
        async with watching(scene.publication) as viewer:
            await until(lambda: len(viewer.pictures) >= 10, "the picture, by a decoder that is told nothing else")
            assert (viewer.pictures[0].width, viewer.pictures[0].height) == (160, 128)
    pictures = scene.sink.of(TrackKind.CAMERA)
    assert pictures[0].key and len(decoded(pictures)) == len(pictures)


async def test_vp8_is_taken_where_it_is_offered() -> None:
    pc, _, _, offer = await offering()
    backwards = re.sub(r"(m=video \d+ \S+) (\d+ \d+) (.*)", r"\1 \3 \2", offer)
    assert "H264" in offer
    for one in (offer, backwards):
        publication = await publish(one)
        assert publication.sends[TrackKind.CAMERA].codec is Codec.VP8
        await publication.close()
    await pc.close()


async def test_a_viewer_without_h264_is_told_so_and_the_recording_goes_on() -> None:
    async with published(codec="H264") as scene:
        pc = client()
        pc.addTransceiver("video", direction="recvonly")
        only(pc, "VP8")
        with pytest.raises(UnsupportedView, match=r"recorded all the same"):
            await peer.view(await offer_of(pc), source=scene.publication, offer_addresses=HERE)
        await pc.close()
        await until(lambda: len(scene.sink.of(TrackKind.CAMERA)) >= 3, "the recording")


async def test_the_answer_says_of_h264_what_was_offered_whatever_its_profile() -> None:
    for profile in ("42000c", "42e01f", "4d0028", "640028", "64001f"):
        publication = await publish(FFMPEG.replace("42000c", profile))
        said = publication.answer_sdp
        assert f"a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}\r\n" in said
        assert "a=fmtp:105 apt=106" in said
        assert set(re.findall(r"a=setup:(\w+)", said)) == {"active"}, "FFmpeg is the DTLS server"
        await publication.close()
    bare = re.sub(r"a=fmtp:106 .*\n", "", FFMPEG)
    publication = await publish(bare)
    assert "a=fmtp:106" not in publication.answer_sdp
    await publication.close()


@pytest.mark.parametrize("interleaved", ["a=fmtp:106 packetization-mode=2;profile-level-id=42e01f\n"])
async def test_the_interleaved_mode_is_refused(interleaved: str) -> None:
    with pytest.raises(peer.UnsupportedMedia):
        await publish(re.sub(r"a=fmtp:106 .*\n", interleaved, FFMPEG))


@pytest.mark.parametrize("line", ["m=video", "m=video 9", "m=video 9 UDP/TLS/RTP/SAVPF"])
async def test_a_media_line_that_ends_early_is_refused_in_words(line: str) -> None:
    pc, _, _, offer = await offering("H264")
    with pytest.raises(peer.BadOffer):
        await publish(re.sub(r"m=video .*", line, offer))
    await pc.close()


def section(*offered: str) -> Section:
    lines = "".join(
        f"a=rtpmap:{number} H264/90000\r\na=fmtp:{number} {words}\r\n" for number, words in enumerate(offered, start=96)
    )
    return read_sections(f"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{lines}")[0]


MODE_0, MODE_1 = "packetization-mode=0;profile-level-id=42e01f", "Packetization-Mode=1; profile-level-id=42e01f"
HIGH = "profile-level-id=640028;packetization-mode=1"


@pytest.mark.parametrize(
    ("offered", "like", "chosen"),
    [
        ((MODE_0, MODE_1), None, 97),
        ((MODE_0,), None, 96),
        (("profile-level-id=42e01f",), None, 96),
        ((MODE_1, HIGH), HIGH, 97),
        ((MODE_1,), HIGH, 96),
        ((MODE_0,), MODE_1, None),
        ((MODE_0,), MODE_0, 96),
        ((), MODE_1, None),
    ],
)
def test_what_is_chosen(offered: tuple[str, ...], like: str | None, chosen: int | None) -> None:
    wanted = None if like is None else choose(section(like))
    found = choose(section(*offered), wanted)
    assert (found and found.payload_type) == chosen


def test_parameter_sets_of_an_offer_are_read_and_nonsense_is_left_out() -> None:
    sets = f"{base64.b64encode(b'gsps').decode()},%%%,,{base64.b64encode(b'hpps').decode()}"
    choice = choose(section(f"packetization-mode=1;sprop-parameter-sets={sets}"))
    assert isinstance(choice, Choice) and choice.sets == (b"gsps", b"hpps")
