"""The files of this test's database, for the scan that `junier erasure scan` makes (app.byte_scan)."""

from __future__ import annotations

from pathlib import Path

import psycopg


def database_files(superuser_url: str) -> list[Path]:
    """Pages, the write-ahead log and the server's log, flushed to disk."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        [(folder, oid)] = connection.execute(
            "SELECT current_setting('data_directory'), (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    root = Path(folder)
    return [root / "base" / str(oid), root / "pg_wal", root / "log", *root.glob("*log*"), *root.parent.glob("*.log")]
