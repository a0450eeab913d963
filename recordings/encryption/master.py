"""The master key: 32 bytes in a file of mode 0600, made on the first start, never changed and never in a store."""

from __future__ import annotations

import os
from pathlib import Path

from recordings.encryption.files import put
from recordings.encryption.keystore import KeyStoreError
from recordings.encryption.sealed import KEY_BYTES


def make_or_read(file: Path, *, has_wrapped: bool) -> bytes:
    """Called locked. has_wrapped: keys are there that it must have wrapped. Raises KeyStoreError."""
    if not file.exists():
        if has_wrapped:
            raise KeyStoreError("The master key is missing, but keys that it wrapped are there.")
        put(file, os.urandom(KEY_BYTES))
    return read(file)


def read(file: Path) -> bytes:
    """Raises KeyStoreError, OSError."""
    if file.stat().st_mode & 0o077:
        raise KeyStoreError("The file of the master key may be readable by its owner only (mode 0600).")
    key = file.read_bytes()
    if len(key) != KEY_BYTES:
        raise KeyStoreError("The file of the master key does not hold 32 bytes.")
    return key
