"""Parameter sets of H.264 (ITU-T H.264 §7.3.2): the picture's size, and the `avcC` record of ISO/IEC 14496-15 §5.3.3.

Everything comes from a sender: nothing here raises, and what is kept of sets is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SPS, PPS = 7, 8
MOST_SET_BYTES = 4_096
"""All parameter sets of a sender together; they are some tens of bytes."""
_MOST_READ_BYTES = 512
"""Of one sequence set; what is used of it ends long before."""
_WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_AVCC_WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 144})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sps:
    """What is used of a sequence parameter set; width and height after cropping."""

    number: int
    chroma_format: int
    luma_depth: int
    chroma_depth: int
    width: int
    height: int


class ParameterSets:
    """The latest of each number, as NAL units."""

    def __init__(self) -> None:
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}
        self._bytes = 0

    def take(self, unit: bytes) -> None:
        """A NAL unit that may be a parameter set; others, ones without a number and too many are left out."""
        kind = unit[0] & 31 if unit else 0
        number = sps_number(unit) if kind == SPS else pps_number(unit) if kind == PPS else None
        if number is None:
            return
        sets = self._sps if kind == SPS else self._pps
        more = len(unit) - len(sets.get(number, b""))
        if self._bytes + more <= MOST_SET_BYTES:
            self._bytes += more
            sets[number] = unit

    def units(self) -> list[bytes]:
        """Sequence sets before picture sets."""
        return [*self._sps.values(), *self._pps.values()]

    def are_complete(self) -> bool:
        return bool(self._sps and self._pps)


def avcc(units: Iterable[bytes]) -> bytes | None:
    """The decoder configuration record of these sets, for NAL units behind lengths of four bytes; None without both,
    and of more than a decoder is ever told."""
    sequence = [unit for unit in units if unit[0] & 31 == SPS and len(unit) > 3][:31]
    picture = [unit for unit in units if unit[0] & 31 == PPS][:255]
    if not sequence or not picture or sum(map(len, sequence + picture)) > MOST_SET_BYTES:
        return None
    first = sequence[0]
    record = bytes((1, *first[1:4], 0xFF, 0xE0 | len(sequence))) + b"".join(map(_with_length, sequence))
    record += bytes((len(picture),)) + b"".join(map(_with_length, picture))
    if first[1] in _AVCC_WITH_CHROMA_FORMAT and (sps := read_sps(first)) is not None:
        record += bytes((0xFC | sps.chroma_format & 3, 0xF8 | sps.luma_depth & 7, 0xF8 | sps.chroma_depth & 7, 0))
    return record


def sps_number(unit: bytes) -> int | None:
    """ITU-T H.264 §7.3.2.1.1; it stands behind profile and level."""
    return _number(unit[4:16], below=32)


def pps_number(unit: bytes) -> int | None:
    """ITU-T H.264 §7.3.2.2."""
    return _number(unit[1:16], below=256)


def _number(data: bytes, below: int) -> int | None:
    try:
        number = _Bits(data).unsigned()
    except IndexError:
        return None
    return number if number < below else None


def read_sps(unit: bytes) -> Sps | None:
    """ITU-T H.264 §7.3.2.1.1; None if it ends early or says what cannot be."""
    try:
        return _read_sps(unit)
    except (IndexError, ValueError):
        return None


def _read_sps(unit: bytes) -> Sps:
    profile = unit[1]
    bits = _Bits(unit[4:_MOST_READ_BYTES].replace(b"\0\0\3", b"\0\0"))  # §7.4.1: emulation prevention
    number = bits.unsigned()
    chroma_format, luma_depth, chroma_depth, planes = 1, 0, 0, False
    if profile in _WITH_CHROMA_FORMAT:
        chroma_format = bits.unsigned()
        planes = chroma_format == 3 and bool(bits.take(1))
        luma_depth, chroma_depth = bits.unsigned(), bits.unsigned()
        bits.take(1)  # lossless transform bypass
        if bits.take(1):
            _skip_scaling(bits, 12 if chroma_format == 3 else 8)
    bits.unsigned()  # log2_max_frame_num
    _skip_order(bits)
    bits.unsigned()  # reference frames
    bits.take(1)
    across, down = bits.unsigned() + 1, bits.unsigned() + 1
    fields = 1 if bits.take(1) else 2  # frame_mbs_only
    if fields == 2:
        bits.take(1)
    bits.take(1)  # direct 8x8 inference
    left = right = top = bottom = 0
    if bits.take(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
    unit_x = 2 if chroma_format in (1, 2) and not planes else 1
    unit_y = (2 if chroma_format == 1 and not planes else 1) * fields
    width, height = 16 * across - unit_x * (left + right), 16 * down * fields - unit_y * (top + bottom)
    if number > 31 or not (0 < width < 16_384 and 0 < height < 16_384) or chroma_format > 3:
        raise ValueError("no picture has this size")
    return Sps(
        number=number,
        chroma_format=chroma_format,
        luma_depth=luma_depth,
        chroma_depth=chroma_depth,
        width=width,
        height=height,
    )


def _skip_scaling(bits: _Bits, lists: int) -> None:
    """§7.3.2.1.1.1."""
    for number in range(lists):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _skip_order(bits: _Bits) -> None:
    """pic_order_cnt_type and what belongs to it."""
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.take(1)
        for _ in range(2):
            bits.signed()
        for _ in range(min(255, bits.unsigned())):
            bits.signed()


class _Bits:
    """Bits from the left, and Exp-Golomb numbers (§9.1). Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise IndexError("no bits left")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        zeros = self._left - (self._value & (1 << self._left) - 1).bit_length()
        if zeros > 31:
            raise IndexError("no number is this long")
        return self.take(2 * zeros + 1) - 1

    def signed(self) -> int:
        number = self.unsigned()
        return (number + 1) // 2 if number & 1 else -(number // 2)


def _with_length(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit
