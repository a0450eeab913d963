"""Erase: destroy the key, delete the media, look again, and say what was found.

The order matters: once the key is gone every copy is unreadable, wherever it lies, and deleting is
what remains to be done. The result never claims more than was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recordings.encryption.keystore import KeyDestroyed, KeyMissing, KeyPath, KeyStore, KeyStoreError
from recordings.storage.store import ObjectStore, Stored, StoreError


@dataclass(frozen=True, kw_only=True, slots=True)
class ErasedObject:
    """One thing that was deleted in this run; version is "" where the store keeps none."""

    key: str
    version: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """What a certificate is written from. verified: the store was seen empty and the key is gone;
    otherwise `reasons` say in plain words what is not. keys_destroyed counts this run only."""

    objects: tuple[ErasedObject, ...]
    keys_destroyed: int
    verified: bool
    reasons: tuple[str, ...]
    bytes: int


def erase(store: ObjectStore, keys: KeyStore, key_path: KeyPath, prefixes: Sequence[str]) -> Erasure:
    """Erase the key at `key_path` with all beneath it, and everything under `prefixes`: all versions,
    delete markers and open uploads.

    prefixes: a person's, recording's or track's, or whole object keys. Faults of the stores become
    reasons, never exceptions. Safe to run again, and the way to resume. Raises ValueError for a
    prefix that belongs to nobody.
    """
    if any("/" not in prefix for prefix in prefixes):
        raise ValueError("a prefix that does not name an account would erase everybody")
    reasons: list[str] = []
    destroyed = _destroy(keys, key_path, reasons)
    removed: list[Stored] = []
    for prefix in prefixes:
        removed += _delete(store, prefix, reasons)
    for prefix in prefixes:
        _look_again(store, prefix, reasons)
    _try_key(keys, key_path, reasons)
    return Erasure(
        objects=tuple(ErasedObject(key=thing.key, version=thing.version, size=thing.size) for thing in removed),
        keys_destroyed=destroyed,
        verified=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        bytes=sum(thing.size for thing in removed),
    )


def stays_erased(store: ObjectStore, keys: KeyStore, key_path: KeyPath, object_key: str) -> None:
    """Right after `object_key` was stored: if its key was destroyed while it was on its way, erasing has looked
    for the last time already, so the object goes here. Raises KeyDestroyed then, StoreError when it cannot go."""
    try:
        keys.unwrap(key_path)
    except KeyDestroyed:
        store.delete(list(store.remains(object_key)))
        raise


def _destroy(keys: KeyStore, path: KeyPath, reasons: list[str]) -> int:
    try:
        return keys.destroy(path)
    except (KeyMissing, KeyDestroyed):
        return 0
    except KeyStoreError as error:
        reasons.append(f"The key could not be destroyed: {_words(error)}")
        return 0


def _delete(store: ObjectStore, prefix: str, reasons: list[str]) -> list[Stored]:
    """What was there and was not refused."""
    try:
        things = list(store.remains(prefix))
        refused = store.delete(things) if things else []
    except StoreError as error:
        reasons.append(f"Media could not be deleted: {_words(error)}")
        return []
    reasons += [f"The {thing.what} {thing.key} was not deleted: {why}" for thing, why in refused]
    kept = {thing for thing, _ in refused}
    return [thing for thing in things if thing not in kept]


def _look_again(store: ObjectStore, prefix: str, reasons: list[str]) -> None:
    try:
        reasons += [f"The {thing.what} {thing.key} is still in the store" for thing in store.remains(prefix)]
    except StoreError as error:
        reasons.append(f"It could not be seen whether anything remains: {_words(error)}")


def _try_key(keys: KeyStore, path: KeyPath, reasons: list[str]) -> None:
    try:
        keys.unwrap(path)
    except (KeyMissing, KeyDestroyed):
        return
    except KeyStoreError as error:
        reasons.append(f"It could not be seen whether the key is gone: {_words(error)}")
    else:
        reasons.append("The key can still be unwrapped")


def _words(error: Exception) -> str:
    return str(error) or type(error).__doc__ or type(error).__name__
