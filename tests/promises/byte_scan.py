"""Looks for words in every byte that is left: files of the database, logs, stores, in every spelling."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg


def database_files(superuser_url: str) -> list[Path]:
    """The files of this test's database, the write-ahead log and the server's log, flushed to disk."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        [(folder, oid)] = connection.execute(
            "SELECT current_setting('data_directory'), (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    root = Path(folder)
    return [root / "base" / str(oid), root / "pg_wal", root / "log", *root.glob("*log*"), *root.parent.glob("*.log")]


def files(places: Sequence[Path]) -> Iterator[bytes]:
    for place in places:
        if place.is_file():
            yield place.read_bytes()
        for file in place.rglob("*"):
            if file.is_file():
                yield file.read_bytes()


def found_in(contents: Sequence[bytes] | Iterator[bytes], canaries: Sequence[str]) -> Iterator[str]:
    """Canaries that stand in any content: as they are, in UTF-16, in base64 (any alignment), in hex, gzipped."""
    for content in contents:
        if content[:2] == b"\x1f\x8b":
            content += gzip.decompress(content)
        for canary in canaries:
            if any(form in content for form in spellings(canary)):
                yield canary


def spellings(canary: str) -> set[bytes]:
    plain = canary.encode()
    shifted = {base64.b64encode(bytes(n) + plain)[4 if n else 0 : -4] for n in range(3)}
    return {plain, canary.encode("utf-16-le"), canary.encode("utf-16-be"), plain.hex().encode(), *shifted}
