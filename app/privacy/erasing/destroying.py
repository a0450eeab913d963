"""Destroy what a plan names, keys first, and look again. Blocking; nothing of the database is known here."""

from __future__ import annotations

from dataclasses import dataclass

from app.privacy.erasing.found import Left, look
from app.privacy.erasing.scope import Plan
from recordings.encryption.keystore import KeyDestroyed, KeyPath, KeyStore, KeyStoreError
from recordings.erase import erase
from recordings.storage.store import ObjectStore, StoreError


@dataclass(frozen=True, kw_only=True)
class Destroyed:
    """keys_gone: nothing of the plan can be opened any more, whatever may still lie somewhere.
    left: what a last look saw; reasons: what could not be verified, in plain words."""

    keys_gone: bool
    left: Left
    reasons: tuple[str, ...]


def destroy(store: ObjectStore, keys: KeyStore, plan: Plan) -> Destroyed:
    """Safe to run twice, and the way to resume."""
    reasons = [reason for target in plan.targets for reason in erase(store, keys, target.key, target.prefixes).reasons]
    opens = [*_another_store(keys, plan), *(reason for path in plan.keys for reason in _still_opens(keys, path))]
    for prefix in plan.indexes:
        reasons += _remove(store, prefix)
    left = look(store, keys, plan.prefixes, plan.keys)  # once more: what was on its way may have arrived since
    return Destroyed(
        keys_gone=not opens,
        left=left,
        reasons=tuple(dict.fromkeys([*opens, *reasons, *_seen(left)])),
    )


def _seen(left: Left) -> list[str]:
    return [
        f"The object {key} is still in the store" for key in sorted({thing.key for thing in left.found.objects})
    ] + [f"It could not be seen whether anything remains of {place}" for place in left.blind]


def _another_store(keys: KeyStore, plan: Plan) -> list[str]:
    """A store that never had the account's key says of every other key, too, that it is not there: a folder that is
    not mounted must not look like an erasure."""
    try:
        keys.unwrap(KeyPath(plan.account))
    except KeyDestroyed:  # the account is closed, and everything beneath it
        return []
    except KeyStoreError as error:
        return [f"The key store could not confirm that it is the one that held these keys: {error}"]
    return []


def _still_opens(keys: KeyStore, path: KeyPath) -> list[str]:
    try:
        return ["A key can still be unwrapped"] if keys.exists(path) else []
    except KeyStoreError as error:
        return [f"It could not be seen whether a key is gone: {error}"]


def _remove(store: ObjectStore, prefix: str) -> list[str]:
    """Objects whose key lives on, because what remains of the recording needs it."""
    try:
        refused = store.delete(list(store.remains(prefix)))
        left = list(store.remains(prefix))
    except StoreError as error:
        return [f"An index that names erased tracks could not be removed: {error}"]
    return [f"The {thing.what} {thing.key} was not deleted: {why}" for thing, why in refused] + [
        f"The {thing.what} {thing.key} is still in the store" for thing in left
    ]
