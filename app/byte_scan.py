"""Byte scan: looks for words in every byte that is left, in every spelling in which they could lie there.

Names and addresses are sealed before they reach a disk, and erasing destroys keys: so a canary planted in a name, an
answer or a spoken word must be found nowhere, before its erasure in no file, after it in nothing that is served either.
"""

from __future__ import annotations

import base64
import html
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote, quote_plus

import psycopg

from recordings.storage.store import ObjectStore, Stored, StoreError

INFLATED_LIMIT = 256_000_000  # bytes of one packed stream that are looked at
_DEPTH = 3  # a gzip in a zip in a gzip
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_GZIP, _ZIP = b"\x1f\x8b\x08", b"PK\x03\x04"
_ZIP_HEADER = struct.Struct("<4s5H3I2H")
Bytes = bytes | mmap.mmap


@dataclass(frozen=True, kw_only=True)
class Hit:
    """where: a file, object or table; canary: its place in the list; spelling: how it was written; at: byte."""

    where: str
    canary: int
    spelling: str
    at: int


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What was looked at. unread: what could not be, with the reason."""

    hits: tuple[Hit, ...]
    files: int = 0
    objects: int = 0
    tables: int = 0
    bytes: int = 0
    unread: tuple[str, ...] = ()

    def __or__(self, other: Scanned) -> Scanned:
        return Scanned(
            hits=(*self.hits, *other.hits),
            files=self.files + other.files,
            objects=self.objects + other.objects,
            tables=self.tables + other.tables,
            bytes=self.bytes + other.bytes,
            unread=(*self.unread, *other.unread),
        )


@runtime_checkable
class ReadsVersions(Protocol):
    """A store that keeps older versions and can give them."""

    def read(self, thing: Stored) -> bytes:
        """The bytes of exactly this version."""


def spellings(canary: str) -> dict[str, bytes]:
    """Every form in which text is commonly stored, by its name."""
    plain = canary.encode()
    escaped = {quote(canary), quote(canary, safe=""), quote_plus(canary)}
    forms = {
        "plain": [plain],
        "UTF-16": [canary.encode("utf-16-le"), canary.encode("utf-16-be")],
        "Latin-1": [canary.encode("latin-1", errors="ignore")],
        "URL": [text.encode() for one in escaped for text in (one, _lower_percent(one))],
        "JSON": [json.dumps(canary)[1:-1].encode(), json.dumps(canary, ensure_ascii=False)[1:-1].encode()],
        "HTML": [html.escape(canary).encode(), canary.encode("ascii", errors="xmlcharrefreplace")],
        "hex": [plain.hex().encode(), plain.hex().upper().encode()],
        "base64": list(_base64(plain)),
    }
    named: dict[bytes, str] = {}
    for name, written in forms.items():
        for form in written:
            if len(form) >= min(len(plain), 4):
                named.setdefault(form, name)
    counts: dict[str, int] = {}
    found = {}
    for form, name in named.items():
        counts[name] = counts.get(name, 0) + 1
        found[name if counts[name] == 1 else f"{name} {counts[name]}"] = form
    return found


def find(content: Bytes, canaries: Sequence[str], *, where: str = "", depth: int = _DEPTH) -> Iterator[Hit]:
    """Canaries in any content, and in what is packed inside it (gzip, zlib, zip). Each spelling is told once."""
    for number, canary in enumerate(canaries):
        for name, form in spellings(canary).items():
            at = content.find(form)
            if at >= 0:
                yield Hit(where=where, canary=number, spelling=name, at=at)
    if depth:
        for at, inside in _unpacked(content):
            for hit in find(inside, canaries, where=where, depth=depth - 1):
                yield Hit(where=where, canary=hit.canary, spelling=f"packed {hit.spelling}", at=at)


def scan_files(places: Iterable[Path], canaries: Sequence[str]) -> Scanned:
    """Files, and folders with all beneath them."""
    result = Scanned(hits=())
    for file in dict.fromkeys(file for place in places for file in _files(place)):
        try:
            result |= _scan_file(file, canaries)
        except FileNotFoundError:  # gone since the folder was read
            continue
        except OSError as error:
            result |= Scanned(hits=(), unread=(f"{file}: {error.strerror}",))
    return result


def scan_store(store: ObjectStore, canaries: Sequence[str]) -> Scanned:
    """Every object in every version."""
    result = Scanned(hits=())
    for thing in store.remains(""):
        where = f"object {thing.key}" + (f" version {thing.version}" if thing.version else "")
        if thing.what == "delete marker":
            continue
        try:
            if thing.what == "open upload":
                raise StoreError("an unfinished upload cannot be read back")
            content = store.read(thing) if isinstance(store, ReadsVersions) else store.get(thing.key)
        except StoreError as error:
            result |= Scanned(hits=(), unread=(f"{where}: {error}",))
            continue
        result |= Scanned(hits=tuple(find(content, canaries, where=where)), objects=1, bytes=len(content))
    return result


def scan_tables(owner_url: str, canaries: Sequence[str]) -> Scanned:
    """Every row of every table as text: what PostgreSQL packs in its files is unpacked here."""
    result = Scanned(hits=())
    with psycopg.connect(owner_url) as owner:
        names = owner.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'jobs')"
        ).fetchall()
        for (name,) in names:
            rows = owner.execute(f"SELECT t::text FROM {name} AS t".encode())
            content = "\n".join(row[0] for row in rows).encode()
            hits = tuple(find(content, canaries, where=f"table {name}"))
            result |= Scanned(hits=hits, tables=1, bytes=len(content))
    return result


def cluster_files(superuser_url: str) -> list[Path]:
    """Folders of an embedded server: pages, write-ahead log, statistics and its log, flushed to disk."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        [(folder,)] = connection.execute("SELECT current_setting('data_directory')").fetchall()
    return [Path(folder), *Path(folder).parent.glob("*.log")]


def own_temporary(folder: Path) -> list[Path]:
    """What this user has left in the system's temporary folder, where other programs have theirs."""
    with os.scandir(folder) as entries:
        return [Path(one.path) for one in entries if one.stat(follow_symlinks=False).st_uid == os.getuid()]


def _scan_file(file: Path, canaries: Sequence[str]) -> Scanned:
    with file.open("rb") as opened:
        size = file.stat().st_size
        if not size:
            return Scanned(hits=(), files=1)
        with mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ) as content:
            return Scanned(hits=tuple(find(content, canaries, where=str(file))), files=1, bytes=size)


def _files(place: Path) -> Iterator[Path]:
    if place.is_file() and not place.is_symlink():
        yield place
    elif place.is_dir():
        yield from (file for file in sorted(place.rglob("*")) if file.is_file() and not file.is_symlink())


def _unpacked(content: Bytes) -> Iterator[tuple[int, bytes]]:
    for magic, window in ((_GZIP, 31), *((head, 15) for head in _ZLIB)):
        for at in _places(content, magic):
            if inside := _inflate(content, at, window):
                yield at, inside
    for at in _places(content, _ZIP):
        head = content[at : at + _ZIP_HEADER.size]
        if len(head) == _ZIP_HEADER.size:
            *_, name, extra = _ZIP_HEADER.unpack(head)
            if inside := _inflate(content, at + _ZIP_HEADER.size + name + extra, -15):
                yield at, inside


def _places(content: Bytes, magic: bytes) -> Iterator[int]:
    at = content.find(magic)
    while at >= 0:
        yield at
        at = content.find(magic, at + 1)


def _inflate(content: Bytes, at: int, window: int) -> bytes:
    """What a packed stream that begins at `at` holds, as far as it is whole; b"" when none begins there."""
    engine, found, step = zlib.decompressobj(window), b"", 4096
    try:
        while at < len(content) and not engine.eof and len(found) < INFLATED_LIMIT:
            piece = content[at : at + step]
            found += engine.decompress(piece, INFLATED_LIMIT)
            at, step = at + len(piece), 1 << 20
    except zlib.error:
        pass
    return found


def _base64(plain: bytes) -> Iterator[bytes]:
    """The characters that `plain` alone decides, at each of the three offsets, in both alphabets."""
    for offset in range(3):
        first, last = -(-offset * 8 // 6), (offset + len(plain)) * 8 // 6
        padded = bytes(offset) + plain + bytes(3)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded)[first:last]


def _lower_percent(text: str) -> str:
    parts = text.split("%")
    return parts[0] + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts[1:])
