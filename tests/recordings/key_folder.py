"""Key stores in a folder for tests, and what a thief does with copies of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

from recordings.encryption.directory import DirectoryKeyStore
from recordings.encryption.keystore import KeyPath, KeyStoreError
from recordings.model import AccountId, PersonId


def open_store(place: Path) -> DirectoryKeyStore:
    """The store and the master key in folders of their own, as on a server."""
    return DirectoryKeyStore(place / "keys", place / "secret" / "master.key")


def family(keys: DirectoryKeyStore) -> dict[KeyPath, bytes]:
    account = AccountId(uuid4())
    made = {KeyPath(account): keys.create(KeyPath(account))}
    paths = [KeyPath(account, None, "columns")]
    for _ in range(2):
        person = PersonId(uuid4())
        paths += [KeyPath(account, person), *(KeyPath(account, person, f"track-{n}") for n in range(2))]
    return made | {path: keys.create(path) for path in paths}


def opens(keys: DirectoryKeyStore, path: KeyPath) -> bool:
    try:
        keys.unwrap(path)
    except KeyStoreError:
        return False
    return True


def without_tombstones(folder: Path) -> None:
    """Whoever has a copy does not ask tombstones."""
    for destroyed in folder.glob("*/destroyed"):
        shutil.rmtree(destroyed)


def epoch_keys(place: Path) -> list[str]:
    return sorted(file.name for file in (place / "secret" / "master.key.epochs").iterdir())
