"""KeyStore in a PostgreSQL of its own, which can neither archive nor replicate; tables: postgres_schema.

For installations on several machines without a shared mount. The keys wrapped in it are those of directory.py, byte for
byte. Each read is one statement, so what another process destroyed is closed here at once. A deleted row stays in pages
and in the server's log for a while, and opens until the epoch ends; then nothing opens it any more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from recordings.encryption import master
from recordings.encryption.epoch_key import sealed_new
from recordings.encryption.files import locked, make_folder, told
from recordings.encryption.keystore import (
    KeyDamaged,
    KeyExists,
    KeyHealth,
    KeyMissing,
    KeyPath,
    KeyStore,
    KeyStoreError,
)
from recordings.encryption.moving import refuse_moving
from recordings.encryption.postgres_connections import Connection, Connections
from recordings.encryption.postgres_rotation import DatabaseRotation, lock_account
from recordings.encryption.postgres_rows import EPOCHS, LINE, Rows, asked, opened_epochs
from recordings.encryption.postgres_schema import LOCK, ROTATING, make_tables, mark_of, put_epoch, refuse_unfit
from recordings.encryption.rotation import rotate
from recordings.encryption.sealed import KEY_BYTES
from recordings.encryption.wrapping import PersonKeys, name_of, wrapped_by
from recordings.model import AccountId, PersonId

T = TypeVar("T")

NEW = "INSERT INTO junier_keys.wrapped VALUES (%(account)s, %(name)s, %(parent)s, %(wrapped)s)"
THERE = "FROM junier_keys.wrapped WHERE account = %(account)s AND (name = %(name)s OR parent = %(name)s OR %(all)s)"
LIVE = """SELECT account, wrapped FROM junier_keys.wrapped WHERE name = 'account' AND NOT EXISTS (
SELECT FROM junier_keys.destroyed WHERE destroyed.account = wrapped.account AND destroyed.name = 'account')"""
TRIES = 3
"""Between reading which epoch keys there are and reading their rows a rotation can end; not twice."""


class PostgresKeyStore(KeyStore):
    """Safe to use from several threads, processes and machines."""

    def __init__(self, url: str, master_key: Path, *, moving: bool = False) -> None:
        """master_key: its file, the same on every machine, made when the database holds nothing yet. moving: opened by
        a move of its keys. Raises KeyStoreError when the server or the file is not fit."""
        self._connections, self._master_file = Connections(url), master_key
        refuse_unfit(self._connections)
        refuse_moving(None if moving else mark_of(self._connections))
        with self._connections.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            make_tables(db)
        with self._connections.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            self._master = self._first_keys()

    def create(self, path: KeyPath) -> bytes:
        key = os.urandom(KEY_BYTES)
        with self._connections.transaction() as db:
            if path.parent is None:
                db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # no rotation may pass over a key that comes now
            lock_account(db, path.account)
            rows = self._rows(path.account, db.execute(LINE.encode(), asked([path])).fetchall())
            rows.refuse_destroyed(path)
            if name_of(path) in rows.wrapped:
                raise KeyExists()
            values = {
                "account": path.account,
                "name": name_of(path),
                "parent": name_of(path.parent) if path.parent else "",
                "wrapped": _wrapped(rows, key, path),
            }
            db.execute(NEW, values)
        return key

    def unwrap(self, path: KeyPath) -> bytes:
        def opened(rows: Rows) -> bytes:
            rows.refuse_destroyed(path)
            return rows.open(path)

        return self._seen([path], opened)

    def unwrap_persons(self, account: AccountId, persons: Iterable[PersonId]) -> dict[PersonId, bytes]:
        paths = [KeyPath(account, person) for person in persons]

        def opened(rows: Rows) -> dict[PersonId, bytes]:
            if "account" in rows.closed:
                return {}
            key = rows.account_key()
            standing = [path for path in paths if name_of(path) not in rows.closed]
            return {path.person: rows.person(path, key).key for path in standing if path.person}

        return self._seen([KeyPath(account), *paths], opened)

    def destroy(self, path: KeyPath) -> int:
        values = {"account": path.account, "name": name_of(path), "all": path.parent is None}
        with self._connections.transaction() as db:
            lock_account(db, path.account)
            tombstone = "INSERT INTO junier_keys.destroyed VALUES (%(account)s, %(name)s) ON CONFLICT DO NOTHING"
            db.execute(tombstone, values)
            if path.person is not None and path.item is not None:
                self._retire_wrap(db, path)
            destroyed = db.execute(f"DELETE {THERE}".encode(), values).rowcount
        # Committed, so on the disk; read back by another statement, as anybody would find it.
        [[left, closed]] = self._connections.read(
            f"""SELECT (SELECT count(*) {THERE}), EXISTS (
            SELECT FROM junier_keys.destroyed WHERE account = %(account)s AND name = %(name)s)""",
            values,
        )
        if left or not closed:
            raise KeyStoreError("A destroyed key is still there.")
        return destroyed

    def rotate(self) -> int:
        with self._connections.alone(ROTATING):
            refuse_unfit(self._connections)
            return rotate(DatabaseRotation(self._connections, self._master))

    def check(self) -> KeyHealth:
        with told():
            if master.read(self._master_file) != self._master:
                raise KeyDamaged("The master key changed while this program runs.")
        refuse_unfit(self._connections)
        epochs, opening, damaged = opened_epochs(self._master, self._connections.read(EPOCHS)), 0, []
        for account, wrapped in self._connections.read(LIVE):
            rows = Rows(account=account, epochs=epochs, wrapped={"account": wrapped}, closed=frozenset())
            try:
                opening += bool(rows.account_key())
            except KeyDamaged:
                damaged.append(account)
        return KeyHealth(
            where="Keys are kept in the PostgreSQL of KEYS_DATABASE_URL, which neither archives nor replicates, "
            f"wrapped by the master key in {self._master_file}.",
            accounts=opening,
            damaged=tuple(damaged),
            epoch_began=epochs[-1].began,
        )

    def _first_keys(self) -> bytes:
        """The master key. It and the first epoch key are made while there is nothing that they could have wrapped."""
        [[used]] = self._connections.read("SELECT EXISTS (SELECT FROM junier_keys.wrapped)")
        begun = bool(self._connections.read(EPOCHS))
        if used and not begun:
            raise KeyMissing("The epoch keys are gone, but keys that they wrapped are there.")
        with told():
            make_folder(self._master_file.parent)
            with locked(self._master_file.with_name(f"{self._master_file.name}.lock"), fcntl.LOCK_EX):
                found = master.make_or_read(self._master_file, has_wrapped=used or begun)
        if not begun:
            with self._connections.transaction() as db:
                put_epoch(db, 1, sealed_new(found, 1))
        return found

    def _seen(self, paths: list[KeyPath], opened: Callable[[Rows], T]) -> T:
        """What `opened` makes of the rows of these paths."""
        for turn in range(TRIES):
            try:
                return opened(self._rows(paths[0].account, self._connections.read(LINE, asked(paths))))
            except KeyDamaged:
                if turn == TRIES - 1:
                    raise
        raise AssertionError("it returned or raised")

    def _rows(self, account: AccountId, rows: Iterable[tuple[Any, ...]]) -> Rows:
        return Rows.of(account, self._master, rows)

    def _retire_wrap(self, db: Connection, path: KeyPath) -> None:
        """The wrapping key of an item that goes wraps nothing new. Where nothing opens, there is nothing to retire."""
        person = KeyPath(path.account, path.person)
        rows = self._rows(path.account, db.execute(LINE.encode(), asked([path])).fetchall())
        try:
            account_key = rows.account_key()
            keys = rows.person(path, account_key)
            if not keys.wraps_newly(rows.wrapped[name_of(path)], path):
                return
        except (KeyStoreError, KeyError):
            return
        wrapped = wrapped_by(account_key, keys.retired().content, path.account, name_of(person))
        db.execute(
            "UPDATE junier_keys.wrapped SET wrapped = %s WHERE account = %s AND name = %s",
            [wrapped, path.account, name_of(person)],
        )


def _wrapped(rows: Rows, key: bytes, path: KeyPath) -> bytes:
    """A new key, as its row holds it. Raises KeyMissing (no parent)."""
    if path.parent is None:
        return wrapped_by(rows.epochs[0].key, key, path.account, "account")
    account_key = rows.account_key()
    if path.person is not None and path.item is not None:
        return rows.person(path, account_key).wrap(key, path)
    content = PersonKeys.new(key).content if path.person is not None else key
    return wrapped_by(account_key, content, path.account, name_of(path))
