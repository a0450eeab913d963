"""What tests ask the database of keys beside the product, and its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from recordings.encryption.keystore import (
    KeyPath,
    KeyStoreError,
)
from recordings.encryption.postgres import PostgresKeyStore


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


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file of a running server's folder that is still there when it is read."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # the server removes its own files meanwhile
            yield path, path.read_bytes()


def places(folder: Path, needle: bytes) -> set[str]:
    """Folders of the cluster of which a file holds these bytes."""
    return {path.relative_to(folder).parts[0] for path, content in contents(folder) if needle in content}
