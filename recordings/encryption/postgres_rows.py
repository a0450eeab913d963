"""What one look at the database of the keys shows: epoch keys, wrapped keys and tombstones of the same moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recordings.encryption import epoch_key
from recordings.encryption.epoch_key import EpochKey
from recordings.encryption.keystore import KeyDamaged, KeyDestroyed, KeyMissing, KeyPath
from recordings.encryption.sealed import SealBroken, unseal
from recordings.encryption.wrapping import PersonKeys, context_of, name_of, unwrapped
from recordings.model import AccountId

EPOCHS = "SELECT 'epoch', number::text, sealed FROM junier_keys.epoch"
LINE = f"""{EPOCHS} UNION ALL
SELECT 'wrapped', name, wrapped FROM junier_keys.wrapped WHERE account = %(account)s AND name = ANY(%(names)s) UNION ALL
SELECT 'closed', name, '' FROM junier_keys.destroyed WHERE account = %(account)s AND name = ANY(%(names)s)"""


def asked(paths: Iterable[KeyPath]) -> dict[str, object]:
    """Values of LINE: these paths, of one account, and all above them."""
    line = {one for path in paths for one in path.line}
    [account] = {one.account for one in line}
    return {"account": account, "names": sorted(name_of(one) for one in line)}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """epochs: newest first. wrapped, closed: by name, of one account."""

    account: AccountId
    epochs: Sequence[EpochKey]
    wrapped: Mapping[str, bytes]
    closed: frozenset[str]

    @classmethod
    def of(cls, account: AccountId, master: bytes, rows: Iterable[tuple[Any, ...]]) -> Rows:
        """Raises KeyDamaged when an epoch key does not open."""
        rows = list(rows)
        return cls(
            account=account,
            epochs=opened_epochs(master, rows),
            wrapped={name: content for kind, name, content in rows if kind == "wrapped"},
            closed=frozenset(name for kind, name, _ in rows if kind == "closed"),
        )

    def refuse_destroyed(self, path: KeyPath) -> None:
        if any(name_of(one) in self.closed for one in path.line):
            raise KeyDestroyed()

    def account_key(self) -> bytes:
        wrapped = self._wrapped(KeyPath(self.account))
        for epoch in self.epochs:
            try:
                return unseal(epoch.key, wrapped, context_of(self.account, "account"))
            except SealBroken:
                continue
        raise KeyDamaged()

    def person(self, path: KeyPath, account_key: bytes) -> PersonKeys:
        """Of whoever the path leads through."""
        return PersonKeys.of(self._open(account_key, KeyPath(path.account, path.person)))

    def open(self, path: KeyPath) -> bytes:
        """Raises KeyMissing, KeyDamaged."""
        key = self.account_key()
        if path.person is not None:
            keys = self.person(path, key)
            return keys.key if path.item is None else keys.unwrap(self._wrapped(path), path)
        return key if path.item is None else self._open(key, path)

    def _open(self, parent: bytes, path: KeyPath) -> bytes:
        return unwrapped(parent, self._wrapped(path), self.account, name_of(path))

    def _wrapped(self, path: KeyPath) -> bytes:
        try:
            return self.wrapped[name_of(path)]
        except KeyError:
            raise KeyMissing() from None


def opened_epochs(master: bytes, rows: Iterable[tuple[Any, ...]]) -> list[EpochKey]:
    """Of the rows of EPOCHS, newest first. Raises KeyDamaged when one does not open, KeyMissing when there is none."""
    found = [epoch_key.opened(master, int(number), sealed) for kind, number, sealed in rows if kind == "epoch"]
    if None in found:
        raise KeyDamaged("An epoch key does not open.")
    if not found:
        raise KeyMissing("The epoch keys are gone.")
    return sorted((one for one in found if one is not None), key=lambda one: -one.number)
