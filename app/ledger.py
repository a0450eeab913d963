"""Ledger: what must survive the restore of an older backup; append-only JSON lines beside the keys.

A database restored from a backup knows nothing of what was erased, or who unsubscribed, since; the ledger does. An
erasure is written here before the first key is destroyed, and once more when it is finished; an unsubscribed address
before the click is answered. Ids, times, technical words and keyed hashes only.

    {"ledger": id, "at": time}                                       the first line
    {"at": time, "event": "begun" | "complete", "erasure": id, "account": id, "person": id,
     "recordings": [ids] or null, "responses": [ids] or null, "kinds": [names] or null,
     "reason": …, "asked_by": …, "asked_at": time, "instruction": …, "receipt": …}
    {"at": time, "event": "suppressed", "account": id, "address": hex of the keyed hash}
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.settings import Settings

FIRST_LINE_BYTES = 4096  # at most


class LedgerEvent(StrEnum):
    BEGUN = "begun"
    COMPLETE = "complete"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """An erasure. recordings None: the whole person; responses: answers beside the recordings named; kinds None: whole
    recordings."""

    at: datetime
    event: LedgerEvent
    erasure: UUID
    account: UUID
    person: UUID
    recordings: Sequence[UUID] | None
    responses: Sequence[UUID] | None = None
    kinds: Sequence[str] | None
    reason: str
    asked_by: str
    asked_at: datetime
    instruction: str
    receipt: str


@dataclass(frozen=True, kw_only=True)
class Suppressed:
    """An address that is not invited any more. address: the keyed hash of app.sealed_columns."""

    at: datetime
    account: UUID
    address: bytes


Entry = LedgerEntry | Suppressed


@dataclass(frozen=True, kw_only=True)
class Line:
    """An entry and where it ends in the file, in bytes."""

    entry: Entry
    end: int


@dataclass(frozen=True)
class Ledger:
    """The file of one installation. Safe to append from several processes."""

    path: Path

    def append(self, entry: Entry) -> None:
        """Durable when it returns. A line torn by a crash is closed first, so that it spoils no other."""
        self._append(_fields(entry))

    def identity(self) -> UUID | None:
        """Which ledger this is; None when there is none."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            fields = _json(file.readline())
        return UUID(fields["ledger"]) if fields and "ledger" in fields else None

    def start(self) -> UUID:
        """The identity of this ledger, begun if there is none."""
        if self.identity() is None:
            self._append(None)
        found = self.identity()
        assert found is not None, "the first line of the ledger was changed"
        return found

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def lines(self, after: int = 0) -> Iterator[Line]:
        """Whole lines that begin at or after byte `after`, oldest first; a torn one is left out: what it announced had
        not begun."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(after)
            at = after
            for line in file:
                at += len(line)
                fields = _json(line)
                if fields and "ledger" not in fields:
                    yield Line(entry=_entry(fields), end=at)

    def entries(self) -> Iterator[LedgerEntry]:
        """The erasures."""
        return (line.entry for line in self.lines() if isinstance(line.entry, LedgerEntry))

    def _append(self, fields: Mapping[str, object] | None) -> None:
        """None: the first line alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if b"\n" not in os.pread(descriptor, FIRST_LINE_BYTES, 0):  # torn by a crash: it announced nothing yet
                os.ftruncate(descriptor, 0)
                size = 0
            lines = b""
            if size == 0:
                lines = _line({"ledger": str(uuid4()), "at": _time(datetime.now(UTC))})
            elif os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n"
            lines += _line(fields) if fields is not None else b""
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(self.path.parent)


def ledger_of(settings: Settings) -> Ledger:
    """It lies with the keys: every process that erases reaches them, and whoever kept one has kept the other."""
    return Ledger(settings.keys_folder / "ledger" / "erasures.jsonl")


def _fields(entry: Entry) -> dict[str, object]:
    if isinstance(entry, Suppressed):
        return {
            "at": _time(entry.at),
            "event": LedgerEvent.SUPPRESSED,
            "account": str(entry.account),
            "address": entry.address.hex(),
        }
    return {
        "at": _time(entry.at),
        "event": entry.event,
        "erasure": str(entry.erasure),
        "account": str(entry.account),
        "person": str(entry.person),
        "recordings": _texts(entry.recordings),
        "responses": _texts(entry.responses),
        "kinds": _texts(entry.kinds),
        "reason": str(entry.reason),
        "asked_by": entry.asked_by,
        "asked_at": _time(entry.asked_at),
        "instruction": entry.instruction,
        "receipt": entry.receipt,
    }


def _entry(fields: Mapping[str, Any]) -> Entry:
    at, account = datetime.fromisoformat(fields["at"]), UUID(fields["account"])
    if fields["event"] == LedgerEvent.SUPPRESSED:
        return Suppressed(at=at, account=account, address=bytes.fromhex(fields["address"]))
    return LedgerEntry(
        at=at,
        event=LedgerEvent(fields["event"]),
        erasure=UUID(fields["erasure"]),
        account=account,
        person=UUID(fields["person"]),
        recordings=_ids(fields["recordings"]),
        responses=_ids(fields["responses"]),
        kinds=fields["kinds"],
        reason=fields["reason"],
        asked_by=fields["asked_by"],
        asked_at=datetime.fromisoformat(fields["asked_at"]),
        instruction=fields["instruction"],
        receipt=fields["receipt"],
    )


def _texts(values: Sequence[object] | None) -> list[str] | None:
    return None if values is None else [str(value) for value in values]


def _ids(values: Sequence[str] | None) -> list[UUID] | None:
    return None if values is None else [UUID(value) for value in values]


def _json(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
