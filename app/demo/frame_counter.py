"""Numbers that a picture carries in itself, so that a recording can be counted from outside.

Two rows of 20 blocks stand at the bottom of the picture. The upper row is a number, most significant bit
first, white = 1: four bits name the clip, sixteen count its frames. The lower row is its complement: a bit is read by
comparing the two, so neither brightness nor VP8's blur matters, and a picture without the pattern reads as nothing.
A flash, the box in the upper left corner, is white for the first 100 ms of every second of the clip.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

CLIP_BITS = 4
FRAME_BITS = 16
BITS = CLIP_BITS + FRAME_BITS
BLACK, WHITE = 24, 232
MIN_CONTRAST = 80  # grey levels between a block and its complement; anything less is not our pattern
FLASH_SECONDS = 0.1
FLASH_THRESHOLD = 128


@dataclass(frozen=True, kw_only=True)
class FrameNumber:
    """Which clip a picture belongs to (0..15) and which of its frames it is (0..65535)."""

    clip: int
    frame: int


def _block(shape: tuple[int, ...], row: int, bit: int) -> tuple[slice, slice]:
    """Where a block stands in a picture of this shape (height, width, ...); the picture may have been scaled."""
    height, width = shape[0] * 32 / 360, shape[1] / BITS
    top = shape[0] - (2 - row) * height
    return slice(round(top), round(top + height)), slice(round(bit * width), round((bit + 1) * width))


def _flash_box(shape: tuple[int, ...]) -> tuple[slice, slice]:
    side = round(shape[0] * 64 / 360)
    return slice(0, side), slice(0, side)


def draw(picture: NDArray[np.uint8], number: FrameNumber, *, flash: bool) -> None:
    """Paint the number and the flash box over `picture`: uint8, shape (height, width) or (height, width, 3)."""
    value = number.clip << FRAME_BITS | number.frame
    for bit in range(BITS):
        is_one = value >> (BITS - 1 - bit) & 1
        picture[_block(picture.shape, 0, bit)] = WHITE if is_one else BLACK
        picture[_block(picture.shape, 1, bit)] = BLACK if is_one else WHITE
    picture[_flash_box(picture.shape)] = WHITE if flash else BLACK


def read(luma: Luma) -> FrameNumber | None:
    """The number in a picture's luma: uint8, shape (height, width); None where the pattern cannot be read."""
    value = 0
    for bit in range(BITS):
        contrast = _middle(luma[_block(luma.shape, 0, bit)]) - _middle(luma[_block(luma.shape, 1, bit)])
        if abs(contrast) < MIN_CONTRAST:
            return None
        value = value << 1 | (contrast > 0)
    return FrameNumber(clip=value >> FRAME_BITS, frame=value & (1 << FRAME_BITS) - 1)


def is_flash(luma: Luma) -> bool:
    """Whether the flash box is lit."""
    return _middle(luma[_flash_box(luma.shape)]) > FLASH_THRESHOLD


def _middle(block: Luma) -> float:
    """Mean of the inner half of a block: its edges are where VP8 blurs."""
    height, width = block.shape
    return float(block[height // 4 : -(height // 4), width // 4 : -(width // 4)].mean())
