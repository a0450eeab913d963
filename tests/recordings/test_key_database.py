"""Keys in PostgreSQL: what stays in its files, which servers are refused, and several machines at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

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
from recordings.encryption.postgres_schema import unfit
from tests.contracts.test_key_store import below, new_account, new_person, tree
from tests.fixtures.keys_database import KeysServer
from tests.recordings.key_database import contents, put_back, sql, wrapped

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


def test_no_key_lies_in_clear(keys: PostgresKeyStore, keys_url: str, keys_server: KeysServer, master: Path) -> None:
    made = tree(keys)
    [[own]] = sql(keys_url, "SELECT oid::text FROM pg_database WHERE datname = current_database()")
    keys_server.execute("CHECKPOINT")
    folders = (keys_server.cluster / "base" / own, keys_server.cluster / "pg_wal")
    content = b"".join(content for folder in folders for _, content in contents(folder))
    for key in (*made.values(), master.read_bytes()):
        assert key not in content and key.hex().encode() not in content


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


def test_keys_and_their_epoch_outlive_a_crash_of_the_server(
    keys: PostgresKeyStore, keys_url: str, keys_server: KeysServer
) -> None:
    """Epoch keys are not in the log that recovery replays: their files must be whole by themselves."""
    made = tree(keys)
    keys.rotate()
    late = new_person(keys, next(iter(made)).account)
    before = keys_server.checkpointer()
    assert before
    own = psycopg.connect(keys_url)  # a backend that is surely there: those of the store may be about to leave
    os.kill(own.info.backend_pid, signal.SIGKILL)  # the server then takes all its memory for spoilt and recovers
    deadline = time.monotonic() + 60
    while keys_server.checkpointer() in (None, before) or not _answers(keys, late):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    own.close()
    assert {path: keys.unwrap(path) for path in made if path.parent} == {p: k for p, k in made.items() if p.parent}
    assert keys.rotate() == 1


def _answers(keys: PostgresKeyStore, path: KeyPath) -> bool:
    try:
        return keys.exists(path)
    except KeyStoreUnavailable:
        return False


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
