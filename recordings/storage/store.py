"""ObjectStore: the port every adapter keeps, proven by tests/contracts/test_object_store.py.

Keys are ASCII paths of random ids (layout.py), never names. All calls block; an event loop
calls them in a thread. Objects are written once and never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """The object store did not do what was asked."""

    retry = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(" ".join(part for part in (type(self).__doc__, detail) if part))


class ObjectMissing(StoreError):
    """There is no object of that key."""


class ObjectExists(StoreError):
    """An object of that key is already there; objects are never overwritten."""


class StoreUnavailable(StoreError):
    """The object store cannot be reached or is failing; trying again can help."""

    retry = True


class StoreRefused(StoreError):
    """The object store refuses: credentials, rights, region or object lock."""


class StoreFull(StoreError):
    """The object store has no room left."""

    retry = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One thing the store still holds under a key: a version, a delete marker or an open upload."""

    key: str
    size: int
    version: str = ""  # "" where the store keeps no versions
    what: str = "object"  # "object" | "delete marker" | "open upload"


class ObjectStore(Protocol):
    """Six verbs. Adapters: memory.py, local.py, s3.py."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` durably. Raises ObjectExists when the key holds other bytes; the same bytes
        again are accepted, so that an upload may be repeated after a lost answer."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes [start, start + length) (to the end when None), fewer when the object ends before.
        Raises ObjectMissing."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Current objects whose key starts with `prefix`, in key order (some services order folder by
        folder, which is the same for the keys that layout.py makes)."""

    def remains(self, prefix: str) -> Iterator[Stored]:
        """Everything still held under `prefix`: all versions, delete markers, open uploads."""

    def delete(self, things: Iterable[Stored]) -> Sequence[tuple[Stored, str]]:
        """Remove exactly these; returns those refused with the reason. Missing ones count as gone.
        Raises StoreError when the store itself cannot be asked; what was removed until then stays removed."""

    def check(self) -> str:
        """Say in plain words where objects are kept; raises StoreError when they cannot be."""
