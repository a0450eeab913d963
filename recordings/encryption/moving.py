"""Moving: the keys of one store go into a store of another kind, and when it is done they are in that one only.

Account by account, while nothing else changes it: what the source holds is put into the target, read back and compared;
only then is it destroyed in the source, the account key first. What was destroyed stays so: tombstones travel, and what
they close does not. At the end the source's epoch keys are destroyed, and the target begins a new epoch, so that no
copy made of the source until now opens anything.

A crash leaves the move to be run again. While an account still opens in the source, the source is right and the target
is filled anew; once it does not, the target is. Until the end neither store can be opened for anything else: the
target is marked as arriving, then the source as leaving, which stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from recordings.encryption.keystore import KeyDamaged, KeyStore, KeyStoreError
from recordings.encryption.wrapping import name_of, path_of
from recordings.model import AccountId


class Mark(StrEnum):
    ARRIVING = "arriving"
    LEAVING = "leaving"


class KeysMoving(KeyStoreError):
    """Keys are being moved."""


@dataclass(frozen=True, kw_only=True)
class AccountKeys:
    """Of one account, at one moment. key: the account's own, opened; None: it was closed, or is not there. wrapped: all
    that is beneath it and not closed, by name, as it is kept. closed: names of tombstones."""

    account: AccountId
    key: bytes | None = None
    wrapped: Mapping[str, bytes] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()

    @property
    def stands(self) -> bool:
        """It opens, or says of itself that it was closed."""
        return self.key is not None or "account" in self.closed

    @property
    def keys(self) -> int:
        return len(self.wrapped) + (self.key is not None)

    @classmethod
    def of(
        cls, account: AccountId, key: bytes | None, wrapped: Mapping[str, bytes], closed: frozenset[str]
    ) -> AccountKeys:
        """Without what a tombstone closes: a crash may have left it lying."""
        if "account" in closed:
            return cls(account=account, closed=closed)
        open_ones = {
            name: content
            for name, content in wrapped.items()
            if not any(name_of(one) in closed for one in path_of(account, name).line)
        }
        return cls(account=account, key=key, wrapped=open_ones, closed=closed)


class Movable(Protocol):
    """What a store does for it. Adapters: directory_moving.py, postgres_moving.py."""

    @property
    def store(self) -> KeyStore: ...

    def mark(self) -> Mark | None: ...

    def set_mark(self, mark: Mark | None) -> None: ...

    def accounts(self) -> Sequence[AccountId]:
        """Of which anything is kept, tombstones too."""

    def alone(self) -> AbstractContextManager[None]:
        """No rotation and no new account."""

    def locked(self, account: AccountId) -> AbstractContextManager[None]:
        """Nobody else changes the account's keys."""

    def read(self, account: AccountId) -> AccountKeys:
        """As it lies there. Raises KeyDamaged when the account key does not open."""

    def put(self, keys: AccountKeys) -> None:
        """On disk when this returns, in place of whatever was there. The account key comes last."""

    def clear(self, account: AccountId) -> None:
        """Destroy the account key, then all else of the account with its tombstones; read back. Called locked."""

    def end(self) -> None:
        """Destroy all epoch keys, and read back. Called when no account is left."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    accounts: int
    keys: int


def move(source: Movable, target: Movable) -> Moved:
    """All keys, or what a move that died left of them; run it again after a crash at any step. Raises KeyStoreError,
    and then nothing is lost: each key is in the source, or in the target, or in both until it is run again."""
    accounts = keys = 0
    with source.alone(), target.alone():
        if not _begin(source, target):
            return Moved(accounts=0, keys=0)
        for account in source.accounts():
            with source.locked(account):
                keys += _move_account(source, target, account)
            accounts += 1
        if source.accounts():
            raise KeyStoreError("Something still makes keys in the store they leave; stop it and move again.")
        source.end()
    target.store.rotate()
    target.set_mark(None)
    return Moved(accounts=accounts, keys=keys)


def refuse_moving(mark: Mark | None) -> None:
    """For whoever opens a store to use it. Raises KeysMoving."""
    if mark is Mark.ARRIVING:
        raise KeysMoving("They are on their way into this store: run junier keys move again until it is done.")
    if mark is Mark.LEAVING:
        raise KeysMoving(
            "They left this store for the other kind (a directory, or KEYS_DATABASE_URL), or are on their way: run "
            "junier keys move again until it is done, then use that one."
        )


def _begin(source: Movable, target: Movable) -> bool:
    """Mark both; False when there is nothing to move. Raises KeyStoreError when this is no place to move to."""
    if source.mark() is Mark.ARRIVING:
        raise KeysMoving("They are on their way into the store they shall leave: finish that move first.")
    if target.mark() is not Mark.ARRIVING:
        if not source.accounts():
            return False
        if target.accounts():
            raise KeyStoreError("The store to move to holds keys already; nothing was changed.")
        for account in source.accounts():  # before anything is changed: what does not open cannot be wrapped anew
            with source.locked(account):
                source.read(account)
        target.set_mark(Mark.ARRIVING)
    source.set_mark(Mark.LEAVING)
    return True


def _move_account(source: Movable, target: Movable, account: AccountId) -> int:
    """How many keys went. Called locked."""
    found, arrived = source.read(account), target.read(account)
    if not found.stands and arrived.stands:  # a move died while it cleared the source
        for name in sorted(found.closed - arrived.closed):
            target.store.destroy(path_of(account, name))
    else:
        if not found.stands and found.wrapped:
            raise KeyDamaged(f"Account {account} has keys, but none of its own that opens them.")
        if arrived != found:
            target.put(found)
            if target.read(account) != found:
                raise KeyStoreError(f"The keys of account {account} did not arrive as they left; they stay.")
    source.clear(account)
    return found.keys
