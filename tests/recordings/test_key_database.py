"""Keys in PostgreSQL: what stays in its files, which servers are refused, and several machines at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from recordings.encryption.keystore import (
    KeyDamaged,
    KeyDestroyed,
    KeyMissing,
    KeyPath,
    KeyStoreError,
    KeyStoreUnavailable,
)
from recordings.encryption.postgres import PostgresKeyStore
from recordings.encryption.postgres_connections import Connections
from recordings.encryption.postgres_rotation import DatabaseRotation
from recordings.encryption.postgres_schema import unfit
from recordings.model import AccountId, PersonId
from tests.contracts.test_key_store import below, new_account, new_person, tree
from tests.fixtures.keys_database import KeysServer

FIT = {
    "wal_level": "minimal",
    "archive_mode": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "server_version_num": "150004",
}


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return tmp_path / "secret" / "master.key"


@pytest.fixture
def keys(keys_url: str, master: Path) -> PostgresKeyStore:
    return PostgresKeyStore(keys_url, master)


def sql(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def wrapped(url: str) -> list[tuple[Any, ...]]:
    return sql(url, "SELECT account, name, parent, wrapped FROM junier_keys.wrapped")


def put_back(url: str, rows: list[tuple[Any, ...]]) -> None:
    """Whoever has a copy does not ask tombstones."""
    sql(url, "TRUNCATE junier_keys.destroyed, junier_keys.wrapped")
    with psycopg.connect(url) as connection:
        connection.cursor().executemany("INSERT INTO junier_keys.wrapped VALUES (%s, %s, %s, %s)", rows)


def opens(keys: PostgresKeyStore, path: KeyPath) -> bool:
    try:
        keys.unwrap(path)
    except KeyStoreError:
        return False
    return True


def epochs(url: str) -> dict[int, bytes]:
    return dict(sql(url, "SELECT number, sealed FROM junier_keys.epoch"))


def places(folder: Path, needle: bytes) -> set[str]:
    """Folders of the cluster of which a file holds these bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).parts[0] for path in files if needle in path.read_bytes()}


def test_an_epoch_key_is_in_no_log_and_leaves_the_disk_when_it_ends(
    keys: PostgresKeyStore, keys_url: str, keys_server: KeysServer
) -> None:
    made = tree(keys)
    [[first]] = sql(keys_url, "SELECT sealed FROM junier_keys.epoch")
    for _ in range(3):  # being read leaves no trace either
        assert keys.unwrap(next(iter(made)))
    sql(keys_url, "ANALYZE")
    keys_server.execute("CHECKPOINT")
    assert places(keys_server.cluster, first) == {"base"}
    [[row]] = sql(keys_url, "SELECT wrapped FROM junier_keys.wrapped WHERE name = 'account'")
    assert "pg_wal" in places(keys_server.cluster, row), "the search finds what is in the log"
    keys.rotate()
    assert places(keys_server.cluster, first) == set()
    keys_server.execute("CHECKPOINT")
    [[second]] = sql(keys_url, "SELECT sealed FROM junier_keys.epoch")
    assert places(keys_server.cluster, second) == {"base"}
    assert places(keys_server.cluster, row), "the old row stays for a while; the key that opened it does not"


def test_no_key_lies_in_clear(keys: PostgresKeyStore, keys_url: str, keys_server: KeysServer, master: Path) -> None:
    made = tree(keys)
    [[own]] = sql(keys_url, "SELECT oid::text FROM pg_database WHERE datname = current_database()")
    keys_server.execute("CHECKPOINT")
    folders = (keys_server.cluster / "base" / own, keys_server.cluster / "pg_wal")
    content = b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())
    for key in (*made.values(), master.read_bytes()):
        assert key not in content and key.hex().encode() not in content


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


@pytest.mark.parametrize(
    ("settings", "slots", "standby", "said"),
    [
        ({"archive_mode": "on", "wal_level": "replica"}, 0, False, ["archive_mode", "wal_level"]),
        ({"archive_mode": "always", "wal_level": "replica"}, 0, False, ["archive_mode", "wal_level"]),
        ({"wal_level": "replica"}, 0, False, ["wal_level"]),
        ({"wal_level": "logical"}, 2, False, ["slot", "wal_level"]),
        ({"wal_level": "replica"}, 0, True, ["standby", "wal_level"]),
        ({"fsync": "off"}, 0, False, ["fsync"]),
        ({"full_page_writes": "off"}, 0, False, ["full_page_writes"]),
        ({"server_version_num": "140011"}, 0, False, ["PostgreSQL 15"]),
        ({}, 0, False, []),
    ],
)
def test_a_server_that_could_carry_keys_away_is_refused(
    settings: Mapping[str, str], slots: int, standby: bool, said: list[str]
) -> None:
    reasons = unfit({**FIT, **settings}, slots=slots, standby=standby)
    assert len(reasons) == len(said)
    assert all(word in reason for word, reason in zip(said, reasons, strict=True))


def test_an_ordinary_server_is_refused_and_gets_no_table(empty_urls: dict[str, str], master: Path) -> None:
    with pytest.raises(KeyStoreError, match="wal_level = minimal"):
        PostgresKeyStore(empty_urls["owner"], master)
    assert sql(empty_urls["owner"], "SELECT to_regnamespace('junier_keys')") == [(None,)]
    assert not master.exists()


def test_a_server_that_is_away_may_be_tried_again(keys: PostgresKeyStore, keys_url: str, master: Path) -> None:
    with pytest.raises(KeyStoreUnavailable) as failed:
        PostgresKeyStore("postgresql://nobody:secret@127.0.0.1:1/keys", master)
    assert failed.value.retry and "secret" not in str(failed.value)
    made = tree(keys)
    sql(keys_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'junier keys'")
    assert {path: keys.unwrap(path) for path in made} == made, "connections that were cut are made anew"


def test_a_connection_cut_under_way_is_asked_once_more_but_a_statement_that_takes_too_long_is_not(
    keys: PostgresKeyStore, keys_url: str
) -> None:
    connections = Connections(keys_url)
    assert connections.read("SELECT 1") == [(1,)]
    mine = "pid = pg_backend_pid() AND backend_start < %(now)s"
    now = sql(keys_url, "SELECT clock_timestamp()")[0][0]
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"
    assert connections.read(cut, {"now": now}) == [], "the new connection began after that moment"
    with pytest.raises(KeyStoreUnavailable, match="QueryCanceled"):
        connections.read("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)")


def test_a_key_destroyed_on_one_machine_is_closed_on_the_other_at_once(
    keys: PostgresKeyStore, keys_url: str, master: Path
) -> None:
    other = PostgresKeyStore(keys_url, master)
    person = new_person(keys, new_account(keys))
    track = other.create(below(person))
    assert keys.unwrap(below(person)) == track
    assert other.rotate() == 1
    assert keys.unwrap(below(person)) == track
    assert other.destroy(person) == 2
    for path in (person, below(person)):
        with pytest.raises(KeyDestroyed):
            keys.unwrap(path)


def test_a_machine_without_the_master_key_does_not_make_another(
    keys: PostgresKeyStore, keys_url: str, master: Path
) -> None:
    made = tree(keys)
    with pytest.raises(KeyStoreError, match="missing"):
        PostgresKeyStore(keys_url, master.with_name("another.key"))
    wrong = master.with_name("wrong.key")
    wrong.write_bytes(bytes(32))
    wrong.chmod(0o600)
    stranger = PostgresKeyStore(keys_url, wrong)
    for verb in (stranger.check, stranger.rotate, lambda: stranger.unwrap(next(iter(made)))):
        with pytest.raises(KeyDamaged):
            verb()
    assert {path: keys.unwrap(path) for path in made} == made


def test_exchanged_and_edited_rows_do_not_open(keys: PostgresKeyStore, keys_url: str) -> None:
    one, two = [path for path in tree(keys) if path.item == "track-1"]
    names = [f"person.{path.person}.track-1" for path in (one, two)]
    sql(
        keys_url,
        "UPDATE junier_keys.wrapped AS one SET wrapped = other.wrapped FROM junier_keys.wrapped AS other "
        "WHERE other.name = %s AND one.name = %s",
        *names,
    )
    with pytest.raises(KeyDamaged):
        keys.unwrap(two)
    assert len(keys.unwrap(one)) == 32


def test_destroying_is_confirmed_only_when_the_row_is_gone(keys: PostgresKeyStore, keys_url: str) -> None:
    person = new_person(keys, new_account(keys))
    sql(
        keys_url,
        "CREATE FUNCTION junier_keys.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON junier_keys.wrapped FOR EACH ROW EXECUTE FUNCTION junier_keys.keep()",
    )
    with pytest.raises(KeyStoreError, match="still there"):
        keys.destroy(person)
    assert not keys.exists(person), "closed all the same"


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


def test_keys_and_their_epoch_outlive_a_crash_of_the_server(keys: PostgresKeyStore, keys_url: str) -> None:
    """Epoch keys are not in the log that recovery replays: their files must be whole by themselves."""
    made = tree(keys)
    keys.rotate()
    late = new_person(keys, next(iter(made)).account)
    [[own]] = sql(keys_url, "SELECT pid FROM pg_stat_activity WHERE application_name = 'junier keys' LIMIT 1")
    os.kill(own, signal.SIGKILL)  # the server then takes all its memory for spoilt and recovers from its log
    deadline = time.monotonic() + 60
    while not _answers(keys, late):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {path: keys.unwrap(path) for path in made if path.parent} == {p: k for p, k in made.items() if p.parent}
    assert keys.rotate() == 1


def _answers(keys: PostgresKeyStore, path: KeyPath) -> bool:
    try:
        return keys.exists(path)
    except KeyStoreUnavailable:
        return False


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


def test_a_database_that_was_emptied_says_so(keys: PostgresKeyStore, keys_url: str, master: Path) -> None:
    made = tree(keys)
    copy = wrapped(keys_url)
    sql(keys_url, "DROP SCHEMA junier_keys CASCADE")
    with pytest.raises(KeyStoreError, match="UndefinedTable"):
        keys.check()
    with pytest.raises(KeyStoreError, match="UndefinedTable"):
        keys.unwrap(next(iter(made)))
    again = PostgresKeyStore(keys_url, master)
    assert again.check().accounts == 0
    with pytest.raises(KeyMissing):
        again.unwrap(next(iter(made)))
    assert again.rotate() == 0
    put_back(keys_url, copy)
    with pytest.raises(KeyDamaged):
        again.unwrap(next(iter(made)))
    sql(keys_url, "DROP TABLE junier_keys.epoch_00001")
    with pytest.raises(KeyMissing, match="epoch keys are gone"):
        PostgresKeyStore(keys_url, master)
