"""WebM and Matroska in a few pure functions: the header, the cues and the clusters of a seekable file.

A file is EBML header | Segment of known size { Info, Tracks, Cues, Cluster, Cluster ... }
(RFC 9559; element ids in its section 27). Sizes that are only known late have a fixed width, so the
place of every cluster follows from numbers alone, before any media is read. A cluster holds
SimpleBlocks of one track; players need no more (tried with FFmpeg and Chromium).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

VIDEO_TRACK = 1
SOUND_TRACK = 2
CLUSTER_HEAD_BYTES = 22
_KEY_FRAME = 0x80
_BLOCK_HEAD = struct.Struct(">BIBhB")  # id, size in 4 bytes, track, ms from the cluster, flags
_CUE = struct.Struct(">BBHQHHBHQ")  # CuePoint { CueTime, CueTrackPositions { CueTrack, CueClusterPosition } }
_BLOCK_SIZE_MARK = 0x1000_0000


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """A place to start playing: `position` counts from the first byte inside the Segment."""

    at_ms: int
    track: int
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One frame as it stands in a cluster; at_ms counts from the cluster's own time."""

    track: int
    at_ms: int
    key: bool
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One track as the header tells of it (RFC 9559 §5.1.4.1). private: CodecPrivate; picture: largest width and
    height, None for sound, which is 48 kHz in stereo."""

    number: int
    codec: bytes
    private: bytes
    seek_pre_roll_ns: int | None
    picture: tuple[int, int] | None


def simple_block(track: int, at_ms: int, data: bytes, *, key: bool) -> bytes:
    """RFC 9559 §10.2. at_ms: from the cluster's time, a signed 16-bit number."""
    size = _BLOCK_SIZE_MARK | (len(data) + 4)
    return _BLOCK_HEAD.pack(0xA3, size, 0x80 | track, at_ms, _KEY_FRAME if key else 0) + data


def simple_blocks(data: bytes) -> Iterator[Block]:
    """The frames of a chunk made by `simple_block`. Raises ValueError when it was not."""
    at = 0
    while at < len(data):
        if at + _BLOCK_HEAD.size > len(data):
            raise ValueError("not a row of SimpleBlocks")
        element, size, track, at_ms, flags = _BLOCK_HEAD.unpack_from(data, at)
        end = at + 5 + (size & ~_BLOCK_SIZE_MARK)
        if element != 0xA3 or not size & _BLOCK_SIZE_MARK or end > len(data):
            raise ValueError("not a row of SimpleBlocks")
        frame = data[at + _BLOCK_HEAD.size : end]
        yield Block(track=track & 0x7F, at_ms=at_ms, key=bool(flags & _KEY_FRAME), data=frame)
        at = end


def cluster_head(at_ms: int, block_bytes: int) -> bytes:
    """What stands in front of the blocks of one chunk: CLUSTER_HEAD_BYTES bytes."""
    return _open(0x1F43B675, 10 + block_bytes) + _element(0xE7, at_ms.to_bytes(8, "big"))


def header(
    *, duration_ms: int, tracks: Sequence[Entry], cues: Sequence[Cue], clusters_bytes: int, is_webm: bool = True
) -> bytes:
    """Everything before the first cluster. is_webm: otherwise the file says that it is Matroska at large.

    It is `cues_bytes` longer than without cues, whatever they say, so that their positions can be
    known before they are written.
    """
    info = _element(
        0x1549A966,
        _uint(0x2AD7B1, 1_000_000)  # one tick is a millisecond
        + _element(0x4489, struct.pack(">d", float(duration_ms)))
        + _element(0x4D80, b"junier")
        + _element(0x5741, b"junier"),
    )
    entries = _element(0x1654AE6B, b"".join(map(_track, tracks)))
    points = b"".join(
        _CUE.pack(0xBB, 0x99, 0xB388, cue.at_ms, 0xB78D, 0xF781, cue.track, 0xF188, cue.position) for cue in cues
    )
    content = info + entries + (_open(0x1C53BB6B, len(points)) + points if cues else b"")
    return _ebml(is_webm) + _open(0x18538067, len(content) + clusters_bytes) + content


def cues_bytes(count: int) -> int:
    """What `count` cues add to a header."""
    return 12 + count * _CUE.size if count else 0


def content_start(is_webm: bool = True) -> int:
    """Where the Segment's content begins in a file; cue positions count from here."""
    return len(_ebml(is_webm)) + 12


def _track(entry: Entry) -> bytes:
    codec = _element(0x86, entry.codec) + (_element(0x63A2, entry.private) if entry.private else b"")
    if entry.seek_pre_roll_ns is not None:
        codec += _uint(0x56AA, 0) + _uint(0x56BB, entry.seek_pre_roll_ns)
    if entry.picture is None:
        shape = _element(0xE1, _element(0xB5, struct.pack(">d", 48_000.0)) + _uint(0x9F, 2))
    else:
        shape = _element(0xE0, _uint(0xB0, entry.picture[0]) + _uint(0xBA, entry.picture[1]))
    return _element(0xAE, _track_head(entry.number, 2 if entry.picture is None else 1) + codec + shape)


def _track_head(number: int, track_type: int) -> bytes:
    """Number, uid, type, no lacing, language not said."""
    return (
        _uint(0xD7, number)
        + _uint(0x73C5, number)
        + _uint(0x83, track_type)
        + _uint(0x9C, 0)
        + _element(0x22B59C, b"und")
    )


def _identifier(element: int) -> bytes:
    return element.to_bytes((element.bit_length() + 7) // 8, "big")


def _open(element: int, size: int) -> bytes:
    """An element's id and its size in 8 bytes; the content follows elsewhere."""
    return _identifier(element) + (size | 1 << 56).to_bytes(8, "big")


def _element(element: int, content: bytes) -> bytes:
    size = len(content)
    width = 1 if size < 0x7F else 4
    return _identifier(element) + (size | 1 << 7 * width).to_bytes(width, "big") + content


def _uint(element: int, value: int) -> bytes:
    return _element(element, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _ebml(is_webm: bool) -> bytes:
    return _element(
        0x1A45DFA3,
        _uint(0x4286, 1)
        + _uint(0x42F7, 1)
        + _uint(0x42F2, 4)
        + _uint(0x42F3, 8)
        + _element(0x4282, b"webm" if is_webm else b"matroska")
        + _uint(0x4287, 4)
        + _uint(0x4285, 2),
    )
