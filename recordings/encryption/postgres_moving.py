"""moving.Movable for PostgreSQL. The mark is the comment on the schema: a dump of the keys carries it along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recordings.encryption import master
from recordings.encryption.files import told
from recordings.encryption.keystore import KeyStoreError
from recordings.encryption.moving import AccountKeys, Mark
from recordings.encryption.postgres import NEW, PostgresKeyStore
from recordings.encryption.postgres_connections import Connection, Connections
from recordings.encryption.postgres_rotation import lock_account
from recordings.encryption.postgres_rows import EPOCHS, Rows, opened_epochs
from recordings.encryption.postgres_schema import LOCK, ROTATING, drop_epoch, mark_of
from recordings.encryption.wrapping import name_of, path_of, wrapped_by
from recordings.model import AccountId

ACCOUNTS = """SELECT account FROM junier_keys.wrapped UNION SELECT account FROM junier_keys.destroyed
ORDER BY account"""
ALL = f"""{EPOCHS} UNION ALL
SELECT 'wrapped', name, wrapped FROM junier_keys.wrapped WHERE account = %(account)s UNION ALL
SELECT 'closed', name, '' FROM junier_keys.destroyed WHERE account = %(account)s"""


class MovableDatabase:
    """Beside a store of its own, which may be marked."""

    def __init__(self, url: str, master_key: Path) -> None:
        """Raises KeyStoreError."""
        self.store = PostgresKeyStore(url, master_key, moving=True)
        self._connections = Connections(url)
        with told():
            self._master = master.read(master_key)

    def mark(self) -> Mark | None:
        return mark_of(self._connections)

    def set_mark(self, mark: Mark | None) -> None:
        comment = f"'{mark}'" if mark else "NULL"
        with self._connections.transaction() as db:
            db.execute(f"COMMENT ON SCHEMA junier_keys IS {comment}".encode())

    def accounts(self) -> Sequence[AccountId]:
        return [AccountId(account) for [account] in self._connections.read(ACCOUNTS)]

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._connections.alone(ROTATING), self._connections.alone(LOCK):
            yield

    @contextmanager
    def locked(self, account: AccountId) -> Iterator[None]:
        with self._connections.transaction() as db:
            lock_account(db, account)
            yield

    def read(self, account: AccountId) -> AccountKeys:
        rows = Rows.of(account, self._master, self._connections.read(ALL, {"account": account}))
        beneath = {name: bytes(wrapped) for name, wrapped in rows.wrapped.items() if name != "account"}
        key = rows.account_key() if "account" in rows.wrapped and "account" not in rows.closed else None
        return AccountKeys.of(account, key, beneath, rows.closed)

    def put(self, keys: AccountKeys) -> None:
        epoch = opened_epochs(self._master, self._connections.read(EPOCHS))[0]
        wrapped = dict(keys.wrapped)
        if keys.key is not None:
            wrapped["account"] = wrapped_by(epoch.key, keys.key, keys.account, "account")
        with self._connections.transaction() as db:
            _forget(db, keys.account)
            paths = {name: path_of(keys.account, name) for name in wrapped}
            parents = {name: name_of(path.parent) if path.parent else "" for name, path in paths.items()}
            db.cursor().executemany(
                NEW,
                [
                    {"account": keys.account, "name": name, "parent": parents[name], "wrapped": content}
                    for name, content in wrapped.items()
                ],
            )
            closed = [(keys.account, name) for name in keys.closed]
            db.cursor().executemany("INSERT INTO junier_keys.destroyed VALUES (%s, %s)", closed)

    def clear(self, account: AccountId) -> None:
        with self._connections.transaction() as db:
            _forget(db, account)
        if account in self.accounts():
            raise KeyStoreError("The keys of an account that was moved are still there.")

    def end(self) -> None:
        with self._connections.transaction() as db:
            for one in opened_epochs(self._master, self._connections.read(EPOCHS)):
                drop_epoch(db, one.number)
            db.execute("TRUNCATE junier_keys.wrapped, junier_keys.destroyed")
        if self._connections.read(EPOCHS):
            raise KeyStoreError("The key of an epoch that ended is still there.")


def _forget(db: Connection, account: AccountId) -> None:
    for table in ("wrapped", "destroyed"):
        db.execute(f"DELETE FROM junier_keys.{table} WHERE account = %s".encode(), [account])
