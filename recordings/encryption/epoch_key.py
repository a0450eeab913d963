"""An epoch key and how it is kept: sealed by the master key, bound to its number."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from recordings.encryption.sealed import KEY_BYTES, SealBroken, seal, unseal

_BEGAN = struct.Struct(">Q")


@dataclass(frozen=True, kw_only=True)
class EpochKey:
    """key: 32 bytes. began: the second."""

    number: int
    key: bytes
    began: datetime


def sealed_new(master: bytes, number: int) -> bytes:
    """A new key that begins now: the key and the second it began, as it is kept."""
    return seal(master, os.urandom(KEY_BYTES) + _BEGAN.pack(int(time.time())), _context(number))


def opened(master: bytes, number: int, sealed: bytes) -> EpochKey | None:
    """None when it does not open."""
    try:
        content = unseal(master, sealed, _context(number))
    except SealBroken:
        return None
    began = datetime.fromtimestamp(_BEGAN.unpack(content[KEY_BYTES:])[0], UTC)
    return EpochKey(number=number, key=content[:KEY_BYTES], began=began)


def _context(number: int) -> bytes:
    return b"junier epoch 1\0" + struct.pack(">I", number)
