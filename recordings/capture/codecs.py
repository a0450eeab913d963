"""What is known of each codec, in one table: all that receiving, storing and playing ask.

A codec that is added here has a file of its own, and no other file names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recordings.capture.assembly import Assembly
from recordings.capture.h264 import H264Assembly, h264_setup, h264_size, h264_starts_key_frame
from recordings.capture.opus import OPUS_HEAD, OPUS_SEEK_PRE_ROLL_NS, OpusAssembly
from recordings.capture.vp8 import Vp8Assembly, vp8_size, vp8_starts_key_frame
from recordings.capture.webm import SOUND_TRACK, VIDEO_TRACK, Entry
from recordings.model import Codec, Setup, TrackKind

H264_TRACK = 3
"""Its own number in the file: one recording may have takes of both video codecs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coding:
    """One codec. assembly: makes one, given `TrackFormat.sets`; starts_key_frame: of an RTP payload; size, setup: of a
    stored key frame; number, matroska_name, private, seek_pre_roll_ns: in a file's header (RFC 9559 §5.1.4.1, codec
    mappings in draft-ietf-cellar-codec); is_webm: whether WebM names it too."""

    assembly: Callable[[Sequence[bytes]], Assembly]
    starts_key_frame: Callable[[bytes], bool]
    size: Callable[[bytes], tuple[int, int]]
    setup: Callable[[bytes], Setup | None]
    number: int
    matroska_name: bytes
    is_webm: bool
    private: bytes = b""
    seek_pre_roll_ns: int | None = None

    def entry(self, setup: Setup | None, picture: tuple[int, int] | None) -> Entry:
        """picture: largest width and height, None for sound."""
        return Entry(
            number=self.number,
            codec=self.matroska_name,
            private=setup.private if setup else self.private,
            seek_pre_roll_ns=self.seek_pre_roll_ns,
            picture=picture,
        )


CODINGS: dict[Codec, Coding] = {
    Codec.VP8: Coding(
        assembly=lambda sets: Vp8Assembly(),
        starts_key_frame=vp8_starts_key_frame,
        size=vp8_size,
        setup=lambda frame: None,
        number=VIDEO_TRACK,
        matroska_name=b"V_VP8",
        is_webm=True,
    ),
    Codec.H264: Coding(
        assembly=H264Assembly,
        starts_key_frame=h264_starts_key_frame,
        size=h264_size,
        setup=h264_setup,
        number=H264_TRACK,
        matroska_name=b"V_MPEG4/ISO/AVC",
        is_webm=False,
    ),
    Codec.OPUS: Coding(
        assembly=lambda sets: OpusAssembly(),
        starts_key_frame=lambda payload: True,
        size=lambda frame: (0, 0),
        setup=lambda frame: None,
        number=SOUND_TRACK,
        matroska_name=b"A_OPUS",
        is_webm=True,
        private=OPUS_HEAD,
        seek_pre_roll_ns=OPUS_SEEK_PRE_ROLL_NS,
    ),
}


def coding_of(kind: TrackKind, setup: Setup | None) -> Coding:
    """How frames are encoded that came with this setup: without any it is VP8 or Opus."""
    if setup is not None:
        return CODINGS[setup.codec]
    return CODINGS[Codec.VP8 if kind.is_video else Codec.OPUS]


def coding_of_number(number: int) -> Coding | None:
    """By the track number that stands in a block."""
    return next((coding for coding in CODINGS.values() if coding.number == number), None)
