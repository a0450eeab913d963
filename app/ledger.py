"""Ledger: what must survive the restore of an older backup; append-only JSON lines beside the keys.

A database restored from a backup knows nothing of what was erased, taken back or taken away since; the ledger does. An
erasure is written here before the first key is destroyed, and once more when it is finished; everything else before
the click is answered. Ids, times, technical words and keyed hashes only.

    {"ledger": id, "at": time}                                       the first line
    {"event": tag, "at": time, "account": id, …}                     one of the classes below

How each kind of line is done again stands in app.privacy.replays.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec

from app.errors import JunierError
from app.settings import Settings

FIRST_LINE_BYTES = 4096  # at most


class LedgerUnread(JunierError):
    """A line of the ledger of erasures cannot be understood: it was changed, or a newer version of Junier wrote it. It
    may be about somebody who was erased, so nothing is served. Start that version, or put back the folder ledger/ of
    the key store."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """One line. Of several about the same thing the last one counts."""

    ABOUT: ClassVar[tuple[str, ...]] = ()
    at: datetime
    account: UUID

    @property
    def event(self) -> str:
        """What happened, as the line says."""
        return str(type(self).__struct_config__.tag)

    @property
    def about(self) -> tuple[object, ...]:
        """What it is a word on."""
        return (self.ABOUT, self.account, *(getattr(self, name) for name in self.ABOUT))


class Erased(Entry, frozen=True, kw_only=True):
    """An erasure. recordings None: the whole person; responses: answers beside the recordings named; kinds None: whole
    recordings."""

    ABOUT: ClassVar[tuple[str, ...]] = ("erasure",)
    erasure: UUID
    person: UUID
    recordings: list[UUID] | None
    responses: list[UUID] | None = None
    kinds: list[str] | None
    reason: str
    asked_by: str
    asked_at: datetime
    instruction: str
    receipt: str


class ErasureBegun(Erased, frozen=True, kw_only=True, tag="begun"):
    """Keys are being destroyed."""


class ErasureComplete(Erased, frozen=True, kw_only=True, tag="complete"):
    """Everything was looked for again, and nothing was found."""


class Suppressed(Entry, frozen=True, kw_only=True, tag="suppressed"):
    """An address that is not invited any more. address: hex of the keyed hash of app.sealed_columns."""

    ABOUT: ClassVar[tuple[str, ...]] = ("address",)
    address: str


class AddressCorrected(Entry, frozen=True, kw_only=True, tag="address corrected"):
    """A participant's address is another one now. address: hex of its keyed hash."""

    ABOUT: ClassVar[tuple[str, ...]] = ("person",)
    person: UUID
    address: str


class ConsentWithdrawn(Entry, frozen=True, kw_only=True, tag="consent withdrawn"):
    """A participant took a consent back, whether or not anything was recorded."""

    ABOUT: ClassVar[tuple[str, ...]] = ("person", "session", "kind")
    person: UUID
    session: UUID
    kind: str


class Restricted(Entry, frozen=True, kw_only=True, tag="restricted"):
    """A restriction or an objection: what was recorded of the person until then is kept and not used."""

    ABOUT: ClassVar[tuple[str, ...]] = ("request",)
    person: UUID
    request: UUID
    kind: str
    receipt: str


class InvitationRevoked(Entry, frozen=True, kw_only=True, tag="invitation revoked"):
    """A link stopped working. link: hex of the hash that is stored of it."""

    ABOUT: ClassVar[tuple[str, ...]] = ("link",)
    link: str


class MemberIs(Entry, frozen=True, kw_only=True, tag="member"):
    """What a member is from now on. role None: removed."""

    ABOUT: ClassVar[tuple[str, ...]] = ("member",)
    member: UUID
    role: str | None


class PasskeyRemoved(Entry, frozen=True, kw_only=True, tag="passkey removed"):
    """A passkey signs nobody in any more."""

    ABOUT: ClassVar[tuple[str, ...]] = ("passkey",)
    passkey: UUID


class PasskeysNeeded(Entry, frozen=True, kw_only=True, tag="passkeys needed"):
    """Whether owners and researchers of the account must have a passkey."""

    needed: bool


class AccountClosed(Entry, frozen=True, kw_only=True, tag="account closed"):
    """The account is closed for good. asked_by: as erasures name it."""

    asked_by: str


AnyEntry = (
    ErasureBegun
    | ErasureComplete
    | Suppressed
    | AddressCorrected
    | ConsentWithdrawn
    | Restricted
    | InvitationRevoked
    | MemberIs
    | PasskeyRemoved
    | PasskeysNeeded
    | AccountClosed
)
_READ = msgspec.json.Decoder(AnyEntry)


@dataclass(frozen=True, kw_only=True)
class Line:
    """An entry and where it ends in the file, in bytes."""

    entry: Entry
    end: int


@dataclass(frozen=True)
class Ledger:
    """The file of one installation. Safe to append from several processes."""

    path: Path

    async def note(self, entry: Entry) -> None:
        """As append(), while others go on."""
        await asyncio.to_thread(self.append, entry)

    def append(self, entry: Entry) -> None:
        """Durable when it returns. A line torn by a crash is closed first, so that it spoils no other."""
        self._append(msgspec.json.encode(entry) + b"\n")

    def identity(self) -> UUID | None:
        """Which ledger this is; None when there is none."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            fields = _json(file.readline())
        try:
            return UUID(str(fields["ledger"])) if fields and "ledger" in fields else None
        except ValueError:
            return None

    def start(self) -> UUID:
        """The identity of this ledger, begun if there is none."""
        if self.identity() is None:
            self._append(b"")
        found = self.identity()
        assert found is not None, "the first line of the ledger was changed"
        return found

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def lines(self, after: int = 0) -> Iterator[Line]:
        """Whole lines that begin at or after byte `after`, oldest first; a torn one is left out: what it announced had
        not begun. Raises LedgerUnread for a line that a newer program wrote."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(after)
            at = after
            for line in file:
                at += len(line)
                fields = _json(line)
                if fields and "ledger" not in fields:
                    yield Line(entry=_entry(line), end=at)

    def entries(self) -> Iterator[Erased]:
        """The erasures."""
        return (line.entry for line in self.lines() if isinstance(line.entry, Erased))

    def _append(self, line: bytes) -> None:
        """Nothing: the first line alone."""
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
                first = {"ledger": str(uuid4()), "at": datetime.now(UTC).isoformat()}
                lines = json.dumps(first).encode() + b"\n"
            elif os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n"
            lines += line
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(self.path.parent)


def ledger_of(settings: Settings) -> Ledger:
    """It lies with the keys: every process that erases reaches them, and whoever kept one has kept the other."""
    return Ledger(settings.keys_folder / "ledger" / "erasures.jsonl")


def _entry(line: bytes) -> Entry:
    try:
        entry: AnyEntry = _READ.decode(line)
        return entry
    except msgspec.DecodeError as error:
        raise LedgerUnread from error


def _json(line: bytes) -> Mapping[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
