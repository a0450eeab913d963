"""H.264: RTP payloads in order (RFC 6184) -> access units as Matroska and MP4 keep them, every NAL unit behind its
length in four bytes (ISO/IEC 14496-15 §5.3.2).

Taken are the packets of packetisation modes 0 and 1: single NAL units, STAP-A and FU-A. A key frame is an IDR picture,
stored with its parameter sets, so that playing can start at any of them and a new size needs no new file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recordings.capture.assembly import MAX_FRAME_BYTES, EncodedFrame, MediaPacket
from recordings.capture.h264_sets import PPS, SPS, ParameterSets, avcc, read_sps
from recordings.model import Codec, Setup

_IDR = 5
_LAST_SLICE = 5  # 1 to 5 are coded slices (ITU-T H.264 table 7-1)
_LAST_SINGLE = 23
_STAP_A, _FU_A = 24, 28
_START, _END = 0x80, 0x40
_MOST_SETS = 32
"""Parameter sets of one picture; it needs one of each kind, and all that come are looked into."""


def h264_starts_key_frame(payload: bytes) -> bool:
    """True if an IDR picture, or the parameter sets in front of it, begin with this packet."""
    if len(payload) < 3:
        return False
    kind = payload[0] & 31
    if kind == _FU_A:
        return payload[1] & _START != 0 and _opens(payload[1] & 31, payload[2])
    if kind == _STAP_A:
        return any(len(unit) > 1 and _opens(unit[0] & 31, unit[1]) for unit in _aggregated(payload) or ())
    return _opens(kind, payload[1])


def _opens(kind: int, following: int) -> bool:
    """Of a NAL unit, by the byte behind its type: a picture's first slice has first_mb_in_slice 0, which is one bit 1
    (ITU-T H.264 §7.3.3)."""
    return kind == SPS or (kind == _IDR and following & 0x80 != 0)


def h264_size(frame: bytes) -> tuple[int, int]:
    """Width and height from a stored key frame; (0, 0) if it does not say."""
    return _size(units_of(frame))


def h264_setup(frame: bytes) -> Setup | None:
    """What a file's header says, from a stored key frame."""
    private = avcc([unit for unit in units_of(frame) if unit[0] & 31 in (SPS, PPS)])
    return None if private is None else Setup(codec=Codec.H264, private=private)


def units_of(frame: bytes) -> list[bytes]:
    """The NAL units of a stored frame; a torn one is left out."""
    units, at = [], 0
    while at + 4 < len(frame):
        end = at + 4 + int.from_bytes(frame[at : at + 4], "big")
        if end > len(frame) or end == at + 4:
            break
        units.append(frame[at + 4 : end])
        at = end
    return units


class H264Assembly:
    """Packets in order -> access units. They end with the marker or, because RFC 6184 §5.1 forbids to rely on it, with
    the next timestamp. sets: NAL units of `sprop-parameter-sets` (§8.1)."""

    def __init__(self, sets: Sequence[bytes] = ()) -> None:
        self.wants_key_frame = True
        self._sets = ParameterSets()
        for unit in sets:
            self._sets.take(unit)
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._bytes = self._sets_here = 0
        self._timestamp: int | None = None
        self._waits = False  # the picture being built has had its marker

    def add(self, packet: MediaPacket) -> EncodedFrame | None:
        if not packet.payload:  # padding only (bandwidth probes)
            return None
        before = None
        if packet.timestamp != self._timestamp:
            before = self._finish()
            self._timestamp = packet.timestamp
        if not self._collect(packet.payload):
            self.lost()
            return before
        if packet.marker and before is None:
            return self._finish()
        self._waits = packet.marker  # one frame is given at a time: after a missing marker this one follows the next
        return before

    def lost(self) -> None:
        """Packets are missing here: the picture being built is dropped and an IDR picture is needed."""
        self._drop()
        self.wants_key_frame = True

    def preface(self, payload: bytes) -> Sequence[bytes]:
        """The parameter sets, a NAL unit to a packet as both packetisation modes allow, unless it brings its own."""
        units = (_aggregated(payload) or []) if payload[0] & 31 == _STAP_A else [payload]
        if not self._sets.are_complete() or any(unit[0] & 31 == SPS for unit in units):
            return ()
        return self._sets.units()

    def flush(self) -> EncodedFrame | None:
        """The picture that waits. One without a marker may be half a picture, and is left."""
        return self._finish() if self._waits else None

    def _collect(self, payload: bytes) -> bool:
        """False if this cannot be what was sent."""
        kind = payload[0] & 31
        self._bytes += len(payload) + 4
        if self._bytes > MAX_FRAME_BYTES:
            return False
        if kind == _FU_A:
            return self._collect_fragment(payload)
        if self._fragments:  # one began and did not end
            return False
        if 0 < kind <= _LAST_SINGLE:
            return self._collect_unit(payload)
        units = _aggregated(payload) if kind == _STAP_A else None
        if units is None:  # also of the interleaved mode, which is never agreed to
            return False
        self._bytes += 4 * len(units)
        return all(map(self._collect_unit, units))

    def _collect_fragment(self, payload: bytes) -> bool:
        """RFC 6184 §5.8."""
        if len(payload) < 3 or bool(payload[1] & _START) == bool(self._fragments):
            return False
        if not self._fragments:
            self._fragments.append(bytes((payload[0] & 0xE0 | payload[1] & 31,)))
        self._fragments.append(payload[2:])
        if payload[1] & _END:
            unit, self._fragments = b"".join(self._fragments), []
            return self._collect_unit(unit)
        return True

    def _collect_unit(self, unit: bytes) -> bool:
        if unit[0] & 31 in (SPS, PPS):
            self._sets_here += 1
            if self._sets_here > _MOST_SETS:
                return False
            self._sets.take(unit)
        self._units.append(unit)
        return True

    def _drop(self) -> None:
        self._units, self._fragments = [], []
        self._bytes = self._sets_here = 0
        self._timestamp = None
        self._waits = False

    def _finish(self) -> EncodedFrame | None:
        units, torn, timestamp = self._units, bool(self._fragments), self._timestamp or 0
        self._drop()
        if torn:
            self.wants_key_frame = True
            return None
        first = next((unit for unit in units if unit[0] & 31 <= _LAST_SLICE), None)
        if first is None:  # parameter sets alone are remembered, and no picture
            return None
        if first[0] & 31 == _IDR:
            return self._key_frame(units, first, timestamp)
        if self.wants_key_frame:
            return None
        return EncodedFrame(timestamp=timestamp, data=_stored(units), key=False)

    def _key_frame(self, units: list[bytes], first: bytes, timestamp: int) -> EncodedFrame | None:
        """None if its beginning is lost (first_mb_in_slice is not 0) or nothing says how to decode it."""
        if not any(unit[0] & 31 == SPS for unit in units):
            units = self._sets.units() + units
        private = avcc([unit for unit in units if unit[0] & 31 in (SPS, PPS)] or self._sets.units())
        if private is None and self._sets.are_complete():  # one kind of set came with the picture, one before it
            units = self._sets.units() + [unit for unit in units if unit[0] & 31 not in (SPS, PPS)]
            private = avcc(self._sets.units())
        if private is None or len(first) < 2 or not first[1] & 0x80:
            self.wants_key_frame = True
            return None
        self.wants_key_frame = False
        width, height = _size(units)
        return EncodedFrame(
            timestamp=timestamp,
            data=_stored(units),
            key=True,
            width=width,
            height=height,
            setup=Setup(codec=Codec.H264, private=private),
        )


def _aggregated(payload: bytes) -> list[bytes] | None:
    """The NAL units of a STAP-A (RFC 6184 §5.7.1); None if a length points outside."""
    units, at = [], 1
    while at < len(payload):
        end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
        if end > len(payload) or end < at + 3 or not 0 < payload[at + 2] & 31 <= _LAST_SINGLE:
            return None
        units.append(payload[at + 2 : end])
        at = end
    return units or None


def _size(units: Sequence[bytes]) -> tuple[int, int]:
    """By the first sequence set."""
    sps = next((read_sps(unit) for unit in units if unit[0] & 31 == SPS), None)
    return (sps.width, sps.height) if sps is not None else (0, 0)


def _stored(units: Sequence[bytes]) -> bytes:
    return b"".join(_with_lengths(units))


def _with_lengths(units: Sequence[bytes]) -> Iterator[bytes]:
    for unit in units:
        yield len(unit).to_bytes(4, "big")
        yield unit
