"""H.264 packets become pictures that any decoder reads, in one file, whatever size, packets and habits senders have."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy
import pytest
from aiortc.codecs.h264 import H264Encoder
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from recordings.capture.assembly import MAX_FRAME_BYTES, EncodedFrame, MediaPacket
from recordings.capture.h264 import H264Assembly, h264_setup, h264_size, h264_starts_key_frame, units_of
from recordings.capture.h264_sets import ParameterSets, read_sps
from recordings.capture.recorder import StreamRecorder
from recordings.model import Frame
from tests.recordings.scene import CAMERA, VOICE, Scene, pictures, play

IDR = 5


@cache
def encoded(
    width: int = 64, height: int = 48, count: int = 30, profile: str = "baseline"
) -> tuple[tuple[bytes, ...], ...]:
    """NAL units of every picture, a key frame every 10th, as libx264 makes them."""
    output = av.CodecContext.create("libx264", "w")
    output.width, output.height, output.pix_fmt = width, height, "yuv420p"
    output.time_base, output.framerate, output.gop_size = Fraction(1, 30), Fraction(30), 10
    output.options = {"tune": "zerolatency", "preset": "ultrafast", "profile": profile, "keyint_min": "10", "bf": "0"}
    pictures = []
    for number in range(count):
        image = numpy.random.default_rng(number).integers(0, 255, (height, width, 3), numpy.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        for packet in [*output.encode(frame), *(output.encode(None) if number == count - 1 else [])]:
            pictures.append(tuple(H264Encoder._split_bitstream(bytes(packet))))
    return tuple(pictures)


def packets(
    frames: tuple[tuple[bytes, ...], ...], *, marked: bool = True, single: bool = False, first: int = 1
) -> Iterator[MediaPacket]:
    """As aiortc makes packets of them (STAP-A and FU-A), or every NAL unit in a packet of its own (mode 0)."""
    sequence = first
    for number, units in enumerate(frames):
        payloads = list(units) if single else H264Encoder._packetize(iter(units))
        for place, payload in enumerate(payloads):
            last = place == len(payloads) - 1
            yield MediaPacket(sequence, number * 3_000, marked and last, payload)
            sequence += 1


def assembled(those: Iterator[MediaPacket], assembly: H264Assembly | None = None) -> list[EncodedFrame]:
    assembly = assembly or H264Assembly()
    return [frame for packet in those if (frame := assembly.add(packet)) is not None]


def decoded(frames: list[EncodedFrame]) -> list[av.VideoFrame]:
    """By a decoder that got the setup first, as a player of the file does."""
    context = av.CodecContext.create("h264", "r")
    assert frames[0].setup is not None
    context.extradata = frames[0].setup.private
    shown = [picture for frame in frames for picture in context.decode(av.Packet(frame.data))]
    return shown + context.decode(None)  # type: ignore[return-value,operator]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("profile", ["baseline", "high"])
def test_every_picture_comes_through_and_decodes(profile: str, single: bool) -> None:
    frames = assembled(packets(encoded(profile=profile), single=single))
    assert [frame.key for frame in frames] == [number % 10 == 0 for number in range(30)]
    assert (frames[0].width, frames[0].height) == (64, 48)
    assert len(decoded(frames)) == 30
    assert frames[10].setup == h264_setup(frames[10].data) == frames[0].setup
    assert h264_size(frames[10].data) == (64, 48)


def test_a_picture_without_its_marker_ends_with_the_next_timestamp() -> None:
    frames = assembled(packets(encoded(), marked=False))
    assert [frame.data for frame in frames] == [frame.data for frame in assembled(packets(encoded()))][:-1]


def test_one_marker_missing_delays_and_loses_nothing() -> None:
    those = [replace(p, marker=p.marker and p.timestamp != 3_000 * 4) for p in packets(encoded())]
    assert len(assembled(iter(those))) == 30


def test_the_last_picture_comes_after_a_missing_marker_too() -> None:
    """It waited for a packet behind it, and there is none at the end of a take."""
    assembly = H264Assembly()
    those = [replace(p, marker=p.marker and p.timestamp != 3_000 * 28) for p in packets(encoded(), single=True)]
    frames = assembled(iter(those), assembly)
    last = assembly.flush()
    assert last is not None and assembly.flush() is None
    assert len(frames) == 29 and len(decoded([*frames, last])) == 30


def test_half_a_picture_is_not_flushed() -> None:
    assembly = H264Assembly()
    those = [p for p in packets(encoded(320, 240)) if p.timestamp <= 3_000]
    assembled(iter(those[:-1]), assembly)
    assert assembly.flush() is None


def test_after_a_loss_nothing_is_given_until_an_idr_picture_with_its_beginning() -> None:
    assembly = H264Assembly()
    those = list(packets(encoded(320, 240), single=False))
    cut = next(n for n, p in enumerate(those) if p.timestamp == 3_000 * 3)
    before = assembled(iter(those[:cut]), assembly)
    assert len(before) == 3
    assembly.lost()
    # … and it starts again in the middle of the key frame: not with that one
    inside = [n for n, p in enumerate(those) if p.timestamp == 3_000 * 10][2]
    after = assembled(iter(those[cut + 1 : inside - 1]), assembly)
    assert after == [] and assembly.wants_key_frame
    assembly.lost()
    after = assembled(iter(those[inside:]), assembly)
    assert [frame.timestamp for frame in after] == [3_000 * number for number in range(20, 30)]


def test_sets_that_came_with_the_offer_or_earlier_stand_before_every_key_frame() -> None:
    bare = tuple(tuple(unit for unit in units if unit[0] & 31 not in (7, 8)) for units in encoded())
    sets = [unit for unit in encoded()[0] if unit[0] & 31 in (7, 8)]
    assert assembled(packets(bare)) == []
    frames = assembled(packets(bare), H264Assembly(sets))
    assert len(decoded(frames)) == 30
    assert [unit[0] & 31 for unit in units_of(frames[10].data)][:2] == [7, 8]
    once = (encoded()[0], *bare[1:])
    assert len(assembled(packets(once))) == 30
    alone = [
        MediaPacket(n, 0, True, unit) for n, unit in enumerate(sets)
    ]  # in packets that end "pictures" of their own
    assert len(assembled(iter([*alone, *packets(bare, first=10)]))) == 30


def test_the_first_packet_of_a_key_frame_is_known() -> None:
    starts = [h264_starts_key_frame(p.payload) for p in packets(encoded(320, 240))]
    times = [p.timestamp for p in packets(encoded(320, 240))]
    assert {times[n] for n, start in enumerate(starts) if start} == {0, 30_000, 60_000}
    assert starts[0]
    assert not h264_starts_key_frame(b"") and not h264_starts_key_frame(b"\x7c\x05xx")


@pytest.mark.parametrize("size", [(16, 16), (66, 50), (1280, 720), (1918, 1078)])
def test_sizes_are_read_with_their_cropping(size: tuple[int, int]) -> None:
    for profile in ("baseline", "high"):
        [sps] = [unit for unit in encoded(*size, 1, profile)[0] if unit[0] & 31 == 7]
        found = read_sps(sps)
        assert found is not None and (found.width, found.height) == size


SETS = b"\x67\x42\xc0\x0b\xda\x10\x0c\xfc"


@given(
    st.lists(st.tuples(st.binary(max_size=24), st.integers(0, 3), st.booleans()), max_size=40), st.binary(max_size=80)
)
def test_no_payload_raises(those: list[tuple[bytes, int, bool]], extra: bytes) -> None:
    assembly = H264Assembly([SETS, b"\x68\xce\x38\x80", extra])
    for sequence, (payload, timestamp, marker) in enumerate(those):
        h264_starts_key_frame(payload)
        frame = assembly.add(MediaPacket(sequence, timestamp, marker, payload))
        assert frame is None or units_of(frame.data)
    for text in (extra, SETS + extra, b"\x67" + extra):
        assert h264_size(text) and (read_sps(text) is None or read_sps(text))
        h264_setup(text)


def test_what_is_kept_of_a_hostile_sender_is_bounded() -> None:
    assembly = H264Assembly()
    piece = b"\x7c\x05" + bytes(1_400)
    assembly.add(MediaPacket(0, 0, False, b"\x7c\x85" + bytes(1_400)))
    for sequence in range(MAX_FRAME_BYTES // 1_400 + 2):
        assert assembly.add(MediaPacket(sequence, 0, False, piece)) is None
    assert assembly.wants_key_frame
    sets = ParameterSets()
    for number in range(1_000):
        sets.take(b"\x68" + number.to_bytes(4, "big") * 200)
    assert sum(map(len, sets.units())) <= 4_096


def fragments(unit: bytes, timestamp: int) -> Iterator[MediaPacket]:
    """A NAL unit of any length (RFC 6184 §5.8)."""
    pieces = [unit[at : at + 1_400] for at in range(1, len(unit), 1_400)]
    for number, piece in enumerate(pieces):
        mark = (0x80 if not number else 0) | (0x40 if number == len(pieces) - 1 else 0)
        yield MediaPacket(number, timestamp, False, bytes((unit[0] & 0xE0 | 28, mark | unit[0] & 31)) + piece)


def test_sets_longer_than_a_file_can_tell_are_refused_and_the_next_picture_is_kept() -> None:
    assembly = H264Assembly()
    long = [*fragments(SETS + bytes(70_000), 0), MediaPacket(100, 0, False, b"\x68\xce\x38\x80")]
    assert assembled(iter([*long, MediaPacket(101, 0, True, b"\x65\x88\x80")]), assembly) == []
    assert assembly.wants_key_frame
    assert h264_setup(b"".join(len(u).to_bytes(4, "big") + u for u in (SETS + bytes(70_000), b"\x68\xce"))) is None
    assert len(assembled(packets(encoded()), assembly)) == 30


def test_a_picture_of_hundreds_of_sets_is_dropped_and_not_looked_through() -> None:
    assembly = H264Assembly()
    aggregate = b"\x18" + b"\0\2\x68\xce" * 300
    assert (
        assembled(iter([MediaPacket(1, 0, False, aggregate), MediaPacket(2, 0, True, encoded()[0][-1])]), assembly)
        == []
    )
    assert assembly.wants_key_frame
    assert len(assembled(packets(encoded()), assembly)) == 30


def test_the_latest_set_of_a_number_takes_the_place_of_the_one_before() -> None:
    sets = ParameterSets()
    for filling in range(100):
        sets.take(b"\x68\xce" + bytes((filling,)) * 1_000)
    assert sets.units() == [b"\x68\xce" + bytes((99,)) * 1_000]
    sets.take(b"")
    sets.take(b"\x68")
    sets.take(b"\x67\x42\xc0\x0b\x02")
    assert len(sets.units()) == 1


def frames_of(scene: Scene, count: int, *sizes: tuple[int, int]) -> list[Frame]:
    """`count` pictures of each size, one after the other, as the receive path hands them on."""
    found = [frame for size in sizes for frame in assembled(packets(encoded(*size, count)))]
    return [
        Frame(
            kind=CAMERA,
            ticks=scene.ticks(CAMERA, scene.now + number / 30),
            data=one.data,
            key=one.key,
            arrived_at=scene.now + number / 30,
            width=one.width,
            height=one.height,
            setup=one.setup,
        )
        for number, one in enumerate(found)
    ]


def record(scene: Scene, frames: list[Frame], take: int = 1) -> StreamRecorder:
    recorder = scene.recorder(take)
    sounds = scene.frames(VOICE, scene.now, len(frames) / 30)
    for frame in sorted([*frames, *sounds], key=lambda one: one.arrived_at):
        scene.now = max(scene.now, frame.arrived_at)
        recorder.frame(frame)
        recorder.tick(scene.now)
    recorder.close()
    return recorder


async def test_it_is_one_seekable_file_frame_for_frame_also_when_the_size_changes(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    frames = frames_of(scene, 30, (64, 48), (128, 96), (64, 48))
    record(scene, frames)
    await scene.store_all()
    view = scene.view(scene.finalise())
    assert (view.content_type, view.suffix) == ("video/x-matroska", "mkv")
    whole = b"".join(view.read())
    assert len(whole) == view.size
    played = play(whole)
    assert [packet.data for packet in played["video"]] == [frame.data for frame in frames]
    assert [packet.key for packet in played["video"]] == [frame.key for frame in frames]
    assert len(played["audio"]) == 150
    with av.open(io.BytesIO(whole)) as file:
        assert file.format.name.startswith("matroska")
        sizes = [(picture.width, picture.height) for picture in file.decode(video=0)]
        assert sizes == [(64, 48)] * 30 + [(128, 96)] * 30 + [(64, 48)] * 30
        file.seek(2_500_000)
        assert next(file.decode(video=0)).time == pytest.approx(2.33, abs=0.35)


async def test_what_a_decoder_needs_is_found_again_when_the_journal_is_lost(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    frames = frames_of(scene, 30, (64, 48))
    record(scene, frames)
    await scene.store_all()
    scene.store.delete([thing for thing in scene.store.list("") if "/j/" in thing.key])
    played = play(b"".join(scene.view(scene.finalise()).read()))
    assert [packet.data for packet in played["video"]] == [frame.data for frame in frames]


async def test_a_person_who_comes_back_with_another_codec_stays_in_one_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    first = scene.recorder(1)
    scene.capture(first, 1.0)
    first.close()
    scene.now += 2
    frames = frames_of(scene, 30, (64, 48))
    record(scene, frames, take=2)
    await scene.store_all()
    whole = b"".join(scene.view(scene.finalise()).read())
    with av.open(io.BytesIO(whole)) as file:
        assert [stream.codec_context.name for stream in file.streams.video] == ["vp8", "h264"]
        found = [(p.stream.index, bytes(p)) for p in file.demux(file.streams.video) if p.size]
    assert [data for _, data in found] == [data for data, _ in pictures()[:30]] + [frame.data for frame in frames]
