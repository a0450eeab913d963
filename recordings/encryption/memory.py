"""KeyStore in memory, for tests: keys stand unwrapped in a dictionary."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from recordings.encryption.keystore import KeyDestroyed, KeyExists, KeyHealth, KeyMissing, KeyPath, KeyStore, found
from recordings.encryption.sealed import KEY_BYTES
from recordings.model import AccountId, PersonId


class MemoryKeyStore(KeyStore):
    """Safe to call from several threads."""

    def __init__(self) -> None:
        self._keys: dict[KeyPath, bytes] = {}
        self._tombstones: set[KeyPath] = set()
        self._lock = threading.Lock()
        self._epoch_began: datetime | None = None

    def create(self, path: KeyPath) -> bytes:
        with self._lock:
            self._refuse_destroyed(path)
            if path in self._keys:
                raise KeyExists()
            if path.parent and path.parent not in self._keys:
                raise KeyMissing()
            self._keys[path] = os.urandom(KEY_BYTES)
            return self._keys[path]

    def unwrap(self, path: KeyPath) -> bytes:
        with self._lock:
            self._refuse_destroyed(path)
            if path not in self._keys:
                raise KeyMissing()
            return self._keys[path]

    def unwrap_persons(self, account: AccountId, persons: Iterable[PersonId]) -> dict[PersonId, bytes]:
        with self._lock:
            if KeyPath(account) not in self._keys and KeyPath(account) not in self._tombstones:
                raise KeyMissing()
            paths = [KeyPath(account, person) for person in persons]
            standing = [path for path in paths if self._tombstones.isdisjoint(path.line)]
            if any(path not in self._keys for path in standing):
                raise KeyMissing()
            return {path.person: self._keys[path] for path in standing if path.person}

    def destroy(self, path: KeyPath) -> int:
        with self._lock:
            self._tombstones.add(path)
            doomed = [key for key in self._keys if path in key.line]
            for key in doomed:
                del self._keys[key]
            return len(doomed)

    def rotate(self) -> int:
        with self._lock:
            accounts = [path for path in self._keys if path.parent is None]
            self._keys |= {path: os.urandom(KEY_BYTES) for path in accounts}
            self._epoch_began = datetime.now(UTC)
            return len(accounts)

    def check(self) -> KeyHealth:
        with self._lock:
            accounts = [path.account for path in self._keys if path.parent is None]
        where = "Keys are kept in memory and are lost when this program ends."
        return found(self, where, accounts, self._epoch_began)

    def _refuse_destroyed(self, path: KeyPath) -> None:
        """Called locked."""
        if not self._tombstones.isdisjoint(path.line):
            raise KeyDestroyed()
