"""A new account key in PostgreSQL: one transaction, in which everything beneath is wrapped anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from recordings.encryption.epoch_key import EpochKey, sealed_new
from recordings.encryption.keystore import KeyDamaged, KeyPath, KeyStoreError
from recordings.encryption.postgres_connections import Connection, Connections
from recordings.encryption.postgres_rows import EPOCHS, LINE, Rows, asked, opened_epochs
from recordings.encryption.postgres_schema import LOCK, drop_epoch, put_epoch
from recordings.encryption.rotation import Standing
from recordings.encryption.sealed import KEY_BYTES, SealBroken, unseal
from recordings.encryption.wrapping import PersonKeys, context_of, rewrapped, unwrapped, wrapped_by
from recordings.model import AccountId, PersonId

BENEATH = "SELECT name, wrapped FROM junier_keys.wrapped WHERE account = %(account)s AND parent = %(parent)s"
CHANGED = """UPDATE junier_keys.wrapped SET wrapped = new.wrapped
FROM unnest(%(names)s::text[], %(contents)s::bytea[]) AS new (name, wrapped)
WHERE account = %(account)s AND wrapped.name = new.name"""
ACCOUNTS = """SELECT account FROM junier_keys.wrapped WHERE name = 'account' UNION
SELECT account FROM junier_keys.destroyed WHERE name = 'account' ORDER BY account"""


def lock_account(db: Connection, account: AccountId) -> None:
    """Nobody else changes the account's keys until the transaction ends; reading goes on."""
    db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))", [account])


class DatabaseRotation:
    """rotation.Rotating for PostgreSQL."""

    def __init__(self, connections: Connections, master: bytes) -> None:
        self._connections, self._master = connections, master

    def accounts(self) -> Sequence[AccountId]:
        return [AccountId(account) for [account] in self._connections.read(ACCOUNTS)]

    def standing(self, account: AccountId) -> Standing:
        path = KeyPath(account)
        rows = Rows.of(account, self._master, self._connections.read(LINE, asked([path])))
        if rows.closed or not rows.wrapped:
            return Standing.CLOSED
        rows.account_key()
        try:
            unseal(rows.epochs[0].key, rows.wrapped["account"], context_of(account, "account"))
        except SealBroken:
            return Standing.FORMER
        return Standing.NEWEST

    def epochs(self) -> int:
        return len(self._epochs())

    @contextmanager
    def no_new_accounts(self) -> Iterator[None]:
        with self._connections.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            yield

    def begin(self) -> None:
        number = self._epochs()[0].number + 1
        with self._connections.transaction() as db:
            put_epoch(db, number, sealed_new(self._master, number))

    def finish(self) -> None:
        newest, *former = self._epochs()
        with self._connections.transaction() as db:
            for one in former:
                drop_epoch(db, one.number)
        if [one.number for one in self._epochs()] != [newest.number]:
            raise KeyStoreError("The key of an epoch that ended is still there.")

    def renew(self, account: AccountId) -> None:
        path, new = KeyPath(account), os.urandom(KEY_BYTES)
        with self._connections.transaction() as db:
            lock_account(db, account)
            rows = Rows.of(account, self._master, db.execute(LINE.encode(), asked([path])).fetchall())
            rows.refuse_destroyed(path)
            old, changed = rows.account_key(), {}
            for name, wrapped in db.execute(BENEATH.encode(), {"account": account, "parent": "account"}):
                if name.startswith("person."):
                    wrapped = self._settled(db, KeyPath(account, PersonId(UUID(name[7:]))), name, wrapped, old)
                changed[name] = rewrapped(old, new, wrapped, account, name)
            changed["account"] = wrapped_by(rows.epochs[0].key, new, account, "account")
            _change(db, account, changed)

    def _settled(self, db: Connection, path: KeyPath, name: str, wrapped: bytes, account_key: bytes) -> bytes:
        """The wrapped person, who has one wrapping key by now; that of whom it does not open, as it is."""
        try:
            keys = PersonKeys.of(unwrapped(account_key, wrapped, path.account, name))
        except KeyDamaged:
            return wrapped
        if keys.is_settled:
            return wrapped
        changed = {}
        for item_name, item in db.execute(BENEATH.encode(), {"account": path.account, "parent": name}).fetchall():
            one = KeyPath(path.account, path.person, item_name.removeprefix(f"{name}."))
            try:
                changed[item_name] = keys.wrap(keys.unwrap(item, one), one)
            except KeyDamaged:  # opens with nothing, whatever is done; reading it says so
                continue
        _change(db, path.account, changed)
        return wrapped_by(account_key, keys.settled().content, path.account, name)

    def _epochs(self) -> list[EpochKey]:
        return opened_epochs(self._master, self._connections.read(EPOCHS))


def _change(db: Connection, account: AccountId, changed: dict[str, bytes]) -> None:
    values = {"account": account, "names": list(changed), "contents": list(changed.values())}
    db.execute(CHANGED.encode(), values)
