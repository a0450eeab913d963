"""Redundant sound (RFC 2198): every packet carries the frame before once more, so that a lost packet costs nothing."""

from __future__ import annotations

from typing import NamedTuple

MOST_BLOCKS = 8
"""Chromium sends one or two; more is somebody trying something."""


class Block(NamedTuple):
    """offset: ticks before the packet's own timestamp; the primary block has 0 and stands last."""

    payload_type: int
    offset: int
    data: bytes


def read_red(payload: bytes) -> list[Block] | None:
    """The blocks of a payload, oldest first (RFC 2198 §3); None if it is shorter than it claims or says nonsense."""
    heads: list[tuple[int, int, int]] = []
    position = 0
    while position < len(payload) and payload[position] & 0x80:
        if position + 4 > len(payload) or len(heads) == MOST_BLOCKS:
            return None
        word = int.from_bytes(payload[position : position + 4], "big")
        heads.append((word >> 24 & 0x7F, word >> 10 & 0x3FFF, word & 0x3FF))
        position += 4
    if position >= len(payload):
        return None
    primary = payload[position]
    position += 1
    blocks = []
    for payload_type, offset, size in heads:
        if position + size > len(payload):
            return None
        blocks.append(Block(payload_type, offset, payload[position : position + size]))
        position += size
    blocks.append(Block(primary, 0, payload[position:]))
    return blocks
