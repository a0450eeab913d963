"""KeyStore: the port for the key tree, proven by tests/contracts/test_key_store.py.

    master key -> epoch key -> account key -> person key -> one data key per track, transcript or index
                                          \\-> account items (blind index, columns of the account itself)

Every key is 256 random bits, stored only wrapped by its parent. Destroying a key leaves a
tombstone of ids, so that the same path can never be made or opened again, and takes everything
beneath it along: erasing a person is destroying one key. The store lives apart from the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recordings.model import AccountId, PersonId


class KeyStoreError(Exception):
    """The key store did not do what was asked."""

    retry = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(" ".join(f"{type(self).__doc__} {detail}".split()))


class KeyMissing(KeyStoreError):
    """No key was ever made at this path."""


class KeyDestroyed(KeyStoreError):
    """The key, or one above it, has been destroyed; what it sealed cannot be read any more."""


class KeyExists(KeyStoreError):
    """A key already stands at this path."""


class KeyDamaged(KeyStoreError):
    """A wrapped key does not open: it was changed or moved, or the master key is not the one it was made with."""


class KeyStoreUnavailable(KeyStoreError):
    """The key store cannot be read or written now; trying again can help."""

    retry = True


_ITEM = re.compile(r"[a-z0-9-]{1,80}")


@dataclass(frozen=True, slots=True)
class KeyPath:
    """account alone: the account key · + person: the person's key · + item: a data key.

    `item` without a person is a data key of the account itself. item: [a-z0-9-]{1,80}.
    """

    account: AccountId
    person: PersonId | None = None
    item: str | None = None

    def __post_init__(self) -> None:
        if self.item is not None and not _ITEM.fullmatch(self.item):
            raise ValueError("not the name of a key")

    @property
    def parent(self) -> KeyPath | None:
        """The key that wraps this one; None for an account key, which the master key wraps."""
        if self.item is not None:
            return KeyPath(self.account, self.person)
        return KeyPath(self.account) if self.person is not None else None

    @property
    def line(self) -> tuple[KeyPath, ...]:
        """This key and all above it, nearest first."""
        return (self, *(self.parent.line if self.parent else ()))


@dataclass(frozen=True, kw_only=True)
class KeyHealth:
    """How a store was found. where: in plain words. accounts: how many have a key that opens; damaged: those of which
    the key does not, so that nothing sealed for them can be read. epoch_began: when the oldest epoch began of which a
    key still lives; None before the first one."""

    where: str
    accounts: int
    damaged: tuple[AccountId, ...] = ()
    epoch_began: datetime | None = None


class KeyStore(Protocol):
    """Six verbs. Adapters: memory.py, directory.py, postgres.py."""

    def create(self, path: KeyPath) -> bytes:
        """Make a key under its parent (which must exist) and return its 32 bytes.
        Raises KeyExists, KeyDestroyed, KeyMissing (no parent)."""

    def unwrap(self, path: KeyPath) -> bytes:
        """The 32 bytes of a key. Raises KeyMissing, KeyDestroyed, KeyDamaged."""

    def unwrap_persons(self, account: AccountId, persons: Iterable[PersonId]) -> dict[PersonId, bytes]:
        """The keys of several persons as they stand at one moment, for what a page lists; who was destroyed is left
        out, with the account everybody. Raises KeyMissing, KeyDamaged."""

    def destroy(self, path: KeyPath) -> int:
        """Destroy the key and all beneath it, read back that they are gone, and return how many
        keys were destroyed now (0 when done before or never made; the path is closed all the same,
        so that nothing can be sealed for someone already erased). Safe to run twice and after a
        crash. Raises KeyStoreError when not confirmed."""

    def rotate(self) -> int:
        """A new epoch: every account key is made anew, what lies beneath is re-wrapped, and what wrapped it before is
        destroyed and read back, so that no copy made until now opens anything destroyed until now. Returns how many
        accounts have a new key. The store can be used meanwhile; safe to run again, and the way to resume after a
        crash. A damaged account key holds up nobody; a store of which nothing opens is left alone (rotation.py).
        Raises KeyStoreError when not all could be done; the former epoch then goes on for the rest."""

    def check(self) -> KeyHealth:
        """Look at the store and each account's key; raises KeyStoreError when keys cannot be kept."""

    def exists(self, path: KeyPath) -> bool:
        """True while the key can be unwrapped. Follows from the verbs."""
        try:
            self.unwrap(path)
        except (KeyMissing, KeyDestroyed):
            return False
        return True


def found(keys: KeyStore, where: str, accounts: Iterable[AccountId], began: datetime | None) -> KeyHealth:
    """The health of a store that can be read: each account's key is tried."""
    opening, damaged = 0, []
    for account in accounts:
        try:
            opening += keys.exists(KeyPath(account))
        except KeyDamaged:
            damaged.append(account)
    return KeyHealth(where=where, accounts=opening, damaged=tuple(damaged), epoch_began=began)
