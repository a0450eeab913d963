"""The tables of a key store in PostgreSQL, and which server may hold them.

    junier_keys.wrapped       account | name | parent | wrapped      one wrapped key; names and bytes as in wrapping.py
    junier_keys.destroyed     account | name                         tombstones
    junier_keys.epoch         number | sealed                        empty; read through it, its children hold
    junier_keys.epoch_{n}     number | sealed                        one epoch key, sealed by the master key

PostgreSQL keeps what was changed or deleted: in pages until they are used again, in its write-ahead log, in statistics.
Wrapped keys may stay there, because what opens them ends with the epoch. Epoch keys must not, so each has a table of
its own, made and filled in one transaction. With wal_level = minimal and wal_skip_threshold = 0 its bytes go into the
file of that table and never into the log; written frozen, the row is never touched again (no hint bits, no vacuum); no
statistics are taken of it. Dropping the table cuts the file to nothing when the transaction commits. wal_level =
minimal also means that the server itself refuses archiving, replication, base backups and replication slots.
"""

from __future__ import annotations

from collections.abc import Mapping

from recordings.encryption.keystore import KeyStoreError
from recordings.encryption.moving import Mark
from recordings.encryption.postgres_connections import Connection, Connections

LOCK = 0x6B657973
"""Advisory lock: epoch keys and new accounts."""
ROTATING = LOCK + 1
OLDEST_SERVER = 150000

_TABLES = """
CREATE SCHEMA IF NOT EXISTS junier_keys;
CREATE TABLE IF NOT EXISTS junier_keys.wrapped (
    account uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    parent text COLLATE "C" NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE INDEX IF NOT EXISTS wrapped_parent ON junier_keys.wrapped (account, parent);
CREATE TABLE IF NOT EXISTS junier_keys.destroyed (
    account uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE TABLE IF NOT EXISTS junier_keys.epoch (number integer NOT NULL, sealed bytea NOT NULL);
"""

_SETTINGS = ("wal_level", "archive_mode", "fsync", "full_page_writes", "server_version_num")


def make_tables(db: Connection) -> None:
    """Safe to run again. Called with LOCK held."""
    if db.execute("SELECT to_regclass('junier_keys.epoch')").fetchone() == (None,):
        db.execute(_TABLES.encode())


def put_epoch(db: Connection, number: int, sealed: bytes) -> None:
    """Called in a transaction of its own, with LOCK held elsewhere."""
    table = f"junier_keys.epoch_{number:05d}"
    db.execute("SET LOCAL wal_skip_threshold = 0")
    db.execute(
        f"CREATE TABLE {table} () INHERITS (junier_keys.epoch) WITH (autovacuum_enabled = false);"
        f"ALTER TABLE {table} ALTER COLUMN sealed SET STATISTICS 0, ALTER COLUMN sealed SET STORAGE PLAIN".encode()
    )
    with db.cursor().copy(f"COPY {table} (number, sealed) FROM STDIN (FREEZE)".encode()) as copy:
        copy.write_row((number, sealed))


def drop_epoch(db: Connection, number: int) -> None:
    db.execute(f"DROP TABLE IF EXISTS junier_keys.epoch_{number:05d}".encode())


def mark_of(connections: Connections) -> Mark | None:
    """Whether keys arrive here or leave: the comment on the schema."""
    [[mark]] = connections.read("SELECT obj_description(to_regnamespace('junier_keys'), 'pg_namespace')")
    return Mark(mark) if mark else None


def refuse_unfit(connections: Connections) -> None:
    """Raises KeyStoreError when copies of the keys would outlive them on this server, or keys would not last."""
    query = "SELECT name, setting FROM pg_settings WHERE name = ANY(%(names)s)"
    settings = dict(connections.read(query, {"names": list(_SETTINGS)}))
    [[slots, standby]] = connections.read("SELECT count(*), pg_is_in_recovery() FROM pg_replication_slots")
    if reasons := unfit(settings, slots=slots, standby=standby):
        raise KeyStoreError(f"The server of KEYS_DATABASE_URL is not fit to hold keys: {'; '.join(reasons)}.")


def unfit(settings: Mapping[str, str], *, slots: int, standby: bool) -> list[str]:
    """Why a server with these settings may not hold keys; empty when it may."""
    reasons = {
        "it is older than PostgreSQL 15": int(settings["server_version_num"]) < OLDEST_SERVER,
        "archive_mode is on, so its log is kept for ever": settings["archive_mode"] != "off",
        "a replication slot carries its log away": slots > 0,
        "it is a standby of another server": standby,
        f"wal_level is {settings['wal_level']}; set wal_level = minimal and max_wal_senders = 0, so that nothing "
        "can be archived or replicated": settings["wal_level"] != "minimal",
        "fsync is off, so a power cut loses keys": settings["fsync"] != "on",
        "full_page_writes is off, so a power cut damages keys": settings["full_page_writes"] != "on",
    }
    return [reason for reason, holds in reasons.items() if holds]
