"""Backups: the database as pg_dump writes it, sealed by the key of its day, in one file; no keys and no media in it.

    {header}\n                  JSON: format, id, made_at, opens_until, key, revision
    framed messages             (recordings.encryption.sealed) of up to 1 MiB each, bound to header, number and end

The key of a day lies in the key store and is destroyed JUNIER_BACKUP_DAYS later: then no copy of the file opens any
more, wherever it lies. A file that was cut, changed or put together from two does not open at all.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from uuid import uuid4

import psycopg

from app.embedded_place import installed_programs
from app.errors import JunierError
from app.migrations import run
from app.sealed_columns import PLATFORM, SealedColumns
from recordings.encryption.files import sync_folder
from recordings.encryption.keystore import KeyDestroyed, KeyMissing, KeyPath, KeyStore
from recordings.encryption.sealed import SealBroken, frame_message, seal, unseal

FORMAT = "junier backup 1"
SUFFIX = ".backup"
PIECE_BYTES = 1 << 20
HEADER_LIMIT = 4096
SAID_BYTES = 500  # of what PostgreSQL's programs said last
_LOOK_BACK_DAYS = 800  # for keys of days long gone, when no worker ran for a while


class BackupFailed(JunierError):
    """The backup could not be made or read."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a backup says of itself, readable by anybody."""

    id: str
    made_at: datetime
    opens_until: date
    key: str
    revision: str

    def line(self) -> bytes:
        return (
            json.dumps(
                {
                    "format": FORMAT,
                    "id": self.id,
                    "made_at": self.made_at.isoformat(timespec="seconds"),
                    "opens_until": self.opens_until.isoformat(),
                    "key": self.key,
                    "revision": self.revision,
                }
            ).encode()
            + b"\n"
        )


def back_up(keys: KeyStore, owner_url: str, folder: Path, *, days: int, now: datetime) -> Path:
    """A new file in `folder`, whole and on disk, or not there. owner_url: the database as junier_owner.
    Raises BackupFailed."""
    revision = run.current(owner_url)
    if revision is None:
        raise BackupFailed("There is nothing to back up: the database is empty.")
    header = Header(
        id=uuid4().hex,
        made_at=now.astimezone(UTC),
        opens_until=now.astimezone(UTC).date() + timedelta(days=days),
        key=key_name(now.astimezone(UTC).date()),
        revision=revision,
    )
    key = SealedColumns(keys).platform_key(header.key)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"junier-{header.made_at:%Y-%m-%dT%H%M%SZ}-{header.id[:6]}{SUFFIX}"
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("xb") as out:
            part.chmod(0o600)
            out.write(header.line())
            _dump(owner_url, out, key, header)
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
        sync_folder(folder)
    finally:
        part.unlink(missing_ok=True)
    return file


def read_header(file: Path) -> Header:
    """Raises BackupFailed."""
    with file.open("rb") as opened:
        return _header(opened)


def restore(keys: KeyStore, file: Path, owner_url: str) -> Header:
    """Put a backup into the empty database at owner_url, all of it or nothing. Raises BackupFailed."""
    header = read_header(file)
    if header.revision > run.head():
        raise BackupFailed(f"The backup is of revision {header.revision}, this program knows {run.head()}: upgrade it.")
    if run.current(owner_url) is not None:
        raise BackupFailed("The database to restore into is not empty; nothing was changed.")
    try:
        key = keys.unwrap(KeyPath(PLATFORM, None, header.key))
    except KeyDestroyed:
        raise BackupFailed(f"The backup could be opened until {header.opens_until}; its key is destroyed.") from None
    except KeyMissing:
        raise BackupFailed("The key of this backup is not in the key store: it is another installation's.") from None
    for _ in _pieces(file, key, header):  # all of it is looked at before anything is written
        pass
    with psycopg.connect(owner_url) as owner:  # the functions it owns need that, at this moment only
        owner.execute("GRANT CREATE ON SCHEMA public TO junier_doors")
    _load(owner_url, _pieces(file, key, header))
    with psycopg.connect(owner_url) as owner:
        owner.execute("REVOKE CREATE ON SCHEMA public FROM junier_doors")
    if header.revision != run.head():
        run.upgrade(owner_url)
    return header


def end_backups(keys: KeyStore, *, days: int, today: date) -> int:
    """Destroy the keys of backups that are older than `days`; returns how many. Safe to run again."""
    old = (today - timedelta(days=days + back) for back in range(1, _LOOK_BACK_DAYS))
    paths = [KeyPath(PLATFORM, None, key_name(day)) for day in old]
    return sum(keys.destroy(path) for path in paths if keys.exists(path))


def key_name(day: date) -> str:
    return f"backups-{day.isoformat()}"


def _dump(owner_url: str, out: IO[bytes], key: bytes, header: Header) -> None:
    program = installed_programs() / "pg_dump"
    command = [str(program), "--format=custom", "--enable-row-security", "--no-comments", f"--dbname={owner_url}"]
    with (
        TemporaryFile() as told,  # not a pipe, which would fill while nobody reads it
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told) as dump,
    ):
        assert dump.stdout is not None
        number = 0
        while piece := dump.stdout.read(PIECE_BYTES):
            out.write(frame_message(seal(key, piece, _context(header, number, last=False))))
            number += 1
        out.write(frame_message(seal(key, b"", _context(header, number, last=True))))
        if dump.wait():
            raise BackupFailed(f"pg_dump failed: {_end_of(told)}")


def _load(owner_url: str, pieces: Iterator[bytes]) -> None:
    program = installed_programs() / "pg_restore"
    command = [str(program), "--exit-on-error", "--single-transaction", f"--dbname={owner_url}"]
    with TemporaryFile() as told, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=told) as load:
        assert load.stdin is not None
        try:
            for piece in pieces:
                load.stdin.write(piece)
            load.stdin.close()
        except BrokenPipeError:
            pass  # it says why below
        if load.wait():
            raise BackupFailed(f"pg_restore failed, the database is as it was: {_end_of(told)}")


def _end_of(told: IO[bytes]) -> str:
    told.seek(max(0, told.seek(0, os.SEEK_END) - SAID_BYTES))
    return told.read().decode(errors="replace")


def _pieces(file: Path, key: bytes, header: Header) -> Iterator[bytes]:
    """What pg_dump wrote. Raises BackupFailed where the file is not what was written."""
    with file.open("rb") as opened:
        _header(opened)
        number, ended = 0, False
        while length := opened.read(4):
            message = opened.read(int.from_bytes(length, "big"))
            for last in (False, True):
                try:
                    piece = unseal(key, message, _context(header, number, last=last))
                    break
                except SealBroken:
                    continue
            else:
                raise BackupFailed("The backup was changed or cut; nothing was restored.")
            if ended:
                raise BackupFailed("The backup goes on after its end; nothing was restored.")
            number, ended = number + 1, last
            if piece:
                yield piece
    if not ended:
        raise BackupFailed("The backup was cut; nothing was restored.")


def _header(opened: IO[bytes]) -> Header:
    try:
        fields = json.loads(opened.readline(HEADER_LIMIT))
        if fields["format"] != FORMAT:
            raise ValueError
        return Header(
            id=fields["id"],
            made_at=datetime.fromisoformat(fields["made_at"]),
            opens_until=date.fromisoformat(fields["opens_until"]),
            key=fields["key"],
            revision=fields["revision"],
        )
    except (ValueError, KeyError, TypeError):
        raise BackupFailed("This file is not a backup of Junier.") from None


def _context(header: Header, number: int, *, last: bool) -> bytes:
    return FORMAT.encode() + b"\0" + sha256(header.line()).digest() + number.to_bytes(8, "big") + bytes([last])
