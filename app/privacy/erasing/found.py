"""Found: what stood before it was erased, kept until the certificate is complete.

A crash between destroying and certifying would lose the counts, so they are written down first;
later runs add to them and never take away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.privacy.erasing.certificate import ErasedObject
from recordings.encryption.keystore import KeyPath, KeyStore, KeyStoreError
from recordings.storage.store import ObjectStore, StoreError


@dataclass(frozen=True, kw_only=True)
class Found:
    """objects: versions, delete markers and open uploads; keys: ids of keys that could be unwrapped;
    rows: how many of what; spooled: pieces dropped by media processes."""

    objects: frozenset[ErasedObject] = frozenset()
    keys: frozenset[str] = frozenset()
    rows: Mapping[str, int] = field(default_factory=dict)
    spooled: int = 0

    def __or__(self, other: Found) -> Found:
        names = {**self.rows, **other.rows}
        return Found(
            objects=self.objects | other.objects,
            keys=self.keys | other.keys,
            rows={name: max(self.rows.get(name, 0), other.rows.get(name, 0)) for name in names},
            spooled=self.spooled + other.spooled,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "objects": sorted([thing.key, thing.version, thing.bytes] for thing in self.objects),
            "keys": sorted(self.keys),
            "rows": dict(self.rows),
            "spooled": self.spooled,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Found:
        return cls(
            objects=frozenset(ErasedObject(key=k, version=v, bytes=b) for k, v, b in content.get("objects", ())),
            keys=frozenset(content.get("keys", ())),
            rows=content.get("rows", {}),
            spooled=content.get("spooled", 0),
        )


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a look found; blind: prefixes that could not be listed, keys that could not be tried."""

    found: Found
    blind: tuple[str, ...] = ()

    def gone(self, before: Found) -> Found:
        """What stood before and was seen to be gone: nothing more may be called erased."""
        hidden = tuple(self.blind)
        return Found(
            objects=frozenset(
                thing for thing in before.objects - self.found.objects if not (hidden and thing.key.startswith(hidden))
            ),
            keys=before.keys - self.found.keys - frozenset(hidden),
            rows=before.rows,
            spooled=before.spooled,
        )


def look(store: ObjectStore, keys: KeyStore, prefixes: Iterable[str], paths: Iterable[KeyPath]) -> Left:
    """What stands now. Blocking; faults make a place blind, they are told by whoever erases there."""
    objects: set[ErasedObject] = set()
    standing: set[str] = set()
    blind: list[str] = []
    for prefix in prefixes:
        try:
            objects |= {
                ErasedObject(key=thing.key, version=thing.version, bytes=thing.size) for thing in store.remains(prefix)
            }
        except StoreError:
            blind.append(prefix)
    for path in paths:
        try:
            if keys.exists(path):
                standing.add(key_id(path))
        except KeyStoreError:
            blind.append(key_id(path))
    return Left(found=Found(objects=frozenset(objects), keys=frozenset(standing)), blind=tuple(blind))


def key_id(path: KeyPath) -> str:
    """account/person/item: ids only."""
    return "/".join(str(part) for part in (path.account, path.person, path.item) if part is not None)
