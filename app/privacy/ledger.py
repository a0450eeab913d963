"""Erasure ledger: append-only JSON lines outside the database, ids and times only.

A database restored from a backup knows nothing of what was erased since; the ledger does. Every
erasure is written here before the first key is destroyed, and once more when it is finished.

    {"at": time, "event": "begun", "erasure": id, "account": id, "person": id,
     "recordings": [ids] or null, "responses": [ids] or null, "kinds": [names] or null}
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID


class LedgerEvent(StrEnum):
    BEGUN = "begun"
    COMPLETE = "complete"


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One line. recordings None: the whole person; responses: answers beside the recordings named; kinds None: whole
    recordings."""

    at: datetime
    event: LedgerEvent
    erasure: UUID
    account: UUID
    person: UUID
    recordings: Sequence[UUID] | None
    responses: Sequence[UUID] | None = None
    kinds: Sequence[str] | None


@dataclass(frozen=True)
class Ledger:
    """The file of one installation. Safe to append from several processes of one machine."""

    path: Path

    def append(self, entry: LedgerEntry) -> None:
        """Durable when it returns. A line torn by a crash is closed first, so that it spoils no other."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = (b"\n" if torn else b"") + _line(entry)
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(self.path.parent)

    def entries(self) -> Iterator[LedgerEntry]:
        """All whole lines, oldest first; a torn one is left out: what it announced had not begun."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                entry = _entry(line)
                if entry is not None:
                    yield entry


def _line(entry: LedgerEntry) -> bytes:
    fields = {
        "at": entry.at.astimezone(UTC).isoformat(),
        "event": entry.event,
        "erasure": str(entry.erasure),
        "account": str(entry.account),
        "person": str(entry.person),
        "recordings": None if entry.recordings is None else [str(r) for r in entry.recordings],
        "responses": None if entry.responses is None else [str(r) for r in entry.responses],
        "kinds": None if entry.kinds is None else list(entry.kinds),
    }
    return json.dumps(fields).encode() + b"\n"


def _entry(line: bytes) -> LedgerEntry | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return LedgerEntry(
        at=datetime.fromisoformat(fields["at"]),
        event=LedgerEvent(fields["event"]),
        erasure=UUID(fields["erasure"]),
        account=UUID(fields["account"]),
        person=UUID(fields["person"]),
        recordings=None if fields["recordings"] is None else [UUID(r) for r in fields["recordings"]],
        responses=None if fields.get("responses") is None else [UUID(r) for r in fields["responses"]],
        kinds=fields["kinds"],
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
