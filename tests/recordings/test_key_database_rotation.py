"""Key epochs in PostgreSQL: old copies open nothing destroyed, and neither crashes nor a second machine do harm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from recordings.encryption.keystore import (
    KeyDamaged,
    KeyPath,
)
from recordings.encryption.postgres import PostgresKeyStore
from recordings.encryption.postgres_connections import Connections
from recordings.encryption.postgres_rotation import DatabaseRotation
from recordings.model import AccountId, PersonId
from tests.contracts.test_key_store import below, new_account, new_person, tree
from tests.fixtures.keys_database import KeysServer
from tests.recordings.key_database import epochs, opens, places, put_back, sql, wrapped


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return tmp_path / "secret" / "master.key"


@pytest.fixture
def keys(keys_url: str, master: Path) -> PostgresKeyStore:
    return PostgresKeyStore(keys_url, master)


def test_an_epoch_key_is_in_no_log_and_leaves_the_disk_when_it_ends(
    keys: PostgresKeyStore, keys_url: str, keys_server: KeysServer
) -> None:
    keys_server.execute("SELECT pg_switch_wal()")  # a file of the log that a checkpoint leaves where it is
    made = tree(keys)
    [[first]] = sql(keys_url, "SELECT sealed FROM junier_keys.epoch")
    for _ in range(3):  # being read leaves no trace either
        assert keys.unwrap(next(iter(made)))
    sql(keys_url, "ANALYZE")
    keys_server.execute("CHECKPOINT")
    assert places(keys_server.cluster, first) == {"base"}
    rows = [row for *_, row in wrapped(keys_url)]
    # of several rows: one alone may lie across two pages of the log, with a page's head in its middle
    assert any("pg_wal" in places(keys_server.cluster, row) for row in rows), "the search finds what is in the log"
    keys.rotate()
    assert places(keys_server.cluster, first) == set()
    keys_server.execute("CHECKPOINT")
    [[second]] = sql(keys_url, "SELECT sealed FROM junier_keys.epoch")
    assert places(keys_server.cluster, second) == {"base"}
    assert any(places(keys_server.cluster, row) for row in rows), (
        "an old row stays for a while; the key that opened it does not"
    )


@pytest.mark.parametrize("what", ["person", "track"])
def test_a_copy_of_the_rows_opens_nothing_destroyed_after_the_rotation(
    keys: PostgresKeyStore, keys_url: str, what: str
) -> None:
    made = tree(keys)
    person = next(path for path in made if path.person and not path.item)
    track = below(person)
    copy = wrapped(keys_url)
    keys.destroy(person if what == "person" else track)
    after = wrapped(keys_url)
    put_back(keys_url, copy)
    assert keys.unwrap(track) == made[track], "before it the copy opens: so the end of the test tests something"
    put_back(keys_url, after)
    keys.destroy(person if what == "person" else track)
    keys.rotate()
    now = wrapped(keys_url)
    put_back(keys_url, copy)
    assert not any(opens(keys, path) for path in made)
    # the rows of today, and of the copy those that are missing, and the person's own
    mixed = {row[:2]: row for row in copy} | {row[:2]: row for row in now}
    put_back(keys_url, list(mixed.values()))
    assert not opens(keys, track)
    put_back(keys_url, list((mixed | {row[:2]: row for row in copy if str(person.person) in row[1]}).values()))
    assert not opens(keys, track) and not opens(keys, person)


def test_a_damaged_key_keeps_no_epoch_from_ending_and_makes_none(keys: PostgresKeyStore, keys_url: str) -> None:
    made, other = tree(keys), tree(keys)
    account = next(iter(made)).account
    sql(
        keys_url,
        "UPDATE junier_keys.wrapped SET wrapped = 'x' WHERE name LIKE 'person.%%.track-1' AND account = %s",
        account,
    )
    assert keys.rotate() == 2
    sql(keys_url, "UPDATE junier_keys.wrapped SET wrapped = 'x' WHERE name = 'account' AND account = %s", account)
    for ended in (3, 4):
        assert keys.rotate() == 1
        assert list(epochs(keys_url)) == [ended]
    assert keys.check().damaged == (account,) and keys.check().accounts == 1
    assert all(keys.unwrap(path) == key for path, key in other.items() if path.parent)
    sql(keys_url, "UPDATE junier_keys.wrapped SET wrapped = 'x' WHERE name = 'account'")
    with pytest.raises(KeyDamaged):
        keys.rotate()
    assert list(epochs(keys_url)) == [4]
    assert keys.destroy(KeyPath(account)) == len(made)


class Killed(BaseException):
    """As kill -9: nothing catches it."""


@contextmanager
def _dying(self: Connections, real: Callable[..., Any], left: list[int]) -> Iterator[Any]:
    """Dies just before the commit of transaction number left[0]."""
    left[0] -= 1
    last = left[0] == 0
    with real(self) as db:
        yield db
        if last:
            raise Killed


def test_a_rotation_killed_before_any_commit_is_resumed(
    keys_url: str, master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = PostgresKeyStore(keys_url, master)
    made = tree(keys) | tree(keys)
    gone = next(path for path in made if path.person and path.item)
    keys.destroy(gone)
    real, step, steps = Connections.transaction, 0, 1

    while step < steps:
        step, left = step + 1, [step + 1]

        copy = wrapped(keys_url)
        with monkeypatch.context() as patched:
            patched.setattr(Connections, "transaction", partialmethod(_dying, real, left))
            try:
                PostgresKeyStore(keys_url, master).rotate()
            except Killed:
                steps = step + 1
        assert 1 <= len(epochs(keys_url)) <= 3
        for path, key in made.items():
            if path.parent and path != gone:
                assert keys.unwrap(path) == key, f"after step {step}"
        assert keys.rotate() == 2
        assert len(epochs(keys_url)) == 1
        now = wrapped(keys_url)
        put_back(keys_url, copy)
        assert not any(opens(keys, path) for path in made), "an old copy opens nothing"
        put_back(keys_url, now)
        keys.destroy(gone)
    assert steps > 6


def test_what_happens_while_a_rotation_runs_is_kept_and_stays_destroyed(
    keys: PostgresKeyStore, keys_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tree(keys)
    account = next(iter(made)).account
    one, other = [path for path in made if path.person and not path.item]
    late: dict[KeyPath, bytes] = {}
    real = DatabaseRotation.renew

    def meanwhile(self: DatabaseRotation, of: AccountId) -> None:
        if not late:
            keys.destroy(one)
            path = KeyPath(account, PersonId(uuid4()))
            late[path] = keys.create(path)
        real(self, of)

    monkeypatch.setattr(DatabaseRotation, "renew", meanwhile)
    assert keys.rotate() == 1
    sql(keys_url, "TRUNCATE junier_keys.destroyed")
    assert not opens(keys, one)
    assert all(keys.unwrap(path) == key for path, key in late.items())
    assert keys.unwrap(other) == made[other]


def test_two_machines_and_a_rotation_do_not_lose_keys(keys: PostgresKeyStore, keys_url: str, master: Path) -> None:
    person = new_person(keys, new_account(keys))
    troubles: list[BaseException] = []

    def make(number: int) -> None:
        try:
            store = PostgresKeyStore(keys_url, master)
            for turn in range(10):
                path = below(person, f"track-{number}-{turn}")
                assert store.create(path) == store.unwrap(path)
                store.create(KeyPath(AccountId(uuid4())))
        except BaseException as trouble:
            troubles.append(trouble)

    others = [threading.Thread(target=make, args=(number,)) for number in range(2)]
    for one in others:
        one.start()
    while any(one.is_alive() for one in others):
        keys.rotate()
        others[0].join(0.02)
    assert troubles == []
    assert all(keys.exists(below(person, f"track-{number}-{turn}")) for number in range(2) for turn in range(10))
    assert keys.check().accounts == 21 and keys.destroy(person) == 21
