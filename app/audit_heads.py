"""Heads: the newest hash of every account's audit log, kept in a second place, so that a cut-off end shows.

    {keys}/ledger/audit-heads.json      {account: [number, hex of the hash]}

A head is moved on only from a chain that still holds the noted one: whoever writes a chain anew is found, not followed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import BigInteger, UniqueConstraint, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.audit import AuditEvent, Verdict, verify
from app.database import Database, Db, Row
from app.settings import Settings
from recordings.model import AccountId


class AuditCheck(Row):
    """How the account's audit log was found when it was last looked through as a whole."""

    __tablename__ = "audit_check"
    at: Mapped[datetime]
    events: Mapped[int] = mapped_column(BigInteger)
    broken_at: Mapped[int | None] = mapped_column(BigInteger)  # the first event that does not fit
    __table_args__ = (UniqueConstraint("account_id"),)


@dataclass(frozen=True, kw_only=True)
class Head:
    """number: of the event; hash: 32 bytes."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class Heads:
    """The file of one installation. Safe to use from several processes."""

    path: Path

    def read(self) -> dict[UUID, Head]:
        if not self.path.exists():
            return {}
        noted = json.loads(self.path.read_bytes())
        return {UUID(account): Head(number=n, hash=bytes.fromhex(h)) for account, (n, h) in noted.items()}

    def write(self, heads: Mapping[UUID, Head]) -> None:
        """Whole or not at all, on disk when it returns."""
        part = self.path.with_name(self.path.name + ".part")
        content = {str(account): [head.number, head.hash.hex()] for account, head in heads.items()}
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(json.dumps(content).encode())
            file.flush()
            os.fsync(file.fileno())
        part.rename(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.path.with_name("audit-heads.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def heads_of(settings: Settings) -> Heads:
    return Heads(settings.keys_folder / "ledger" / "audit-heads.json")


async def note_heads(database: Database, heads: Heads) -> None:
    """Move every head on to the newest event. Safe to run twice and beside itself."""
    with heads.locked():
        noted = heads.read()
        moved = dict(noted)
        for account, head in (await _newest(database)).items():
            if head != noted.get(account) and await _holds(database, account, noted.get(account), head):
                moved[account] = head
        if moved != noted:
            heads.write(moved)


async def accept_heads(database: Database, heads: Heads) -> dict[UUID, tuple[int, int]]:
    """After a backup was restored on purpose: what is there counts from now on. Returns per account which numbers the
    log had reached, and has now."""
    with heads.locked():
        noted, newest = heads.read(), await _newest(database)
        heads.write(newest)
    return {a: (h.number, newest[a].number) for a, h in noted.items() if a in newest and newest[a] != h}


async def verify_all(database: Database, heads: Heads) -> dict[UUID, Verdict]:
    """Every account's chain against itself and its head; an account of which the log is gone as a whole too."""
    noted, verdicts = heads.read(), {}
    for account in sorted({*noted, *await _newest(database)}, key=str):
        async with database.transaction(AccountId(account)) as db:
            verdicts[account] = await verify_against(db, account, noted.get(account))
    return verdicts


async def verify_against(db: Db, account: UUID, head: Head | None) -> Verdict:
    """As app.audit.verify, and the chain must hold the head that was noted outside the database."""
    found = await verify(db, account)
    if not found.intact or head is None:
        return found
    if found.events < head.number:
        return Verdict(intact=False, events=found.events, last=found.last, broken_at=found.events + 1)
    if not await _is_there(db, account, head):
        return Verdict(intact=False, events=found.events, last=found.last, broken_at=head.number)
    return found


async def keep_verdicts(database: Database, verdicts: Mapping[UUID, Verdict]) -> None:
    """For the owners' page."""
    for account, verdict in verdicts.items():
        async with database.transaction(AccountId(account)) as db:
            said = {"events": verdict.events, "broken_at": verdict.broken_at, "at": func.now()}
            await db.execute(
                insert(AuditCheck)
                .values(account_id=account, **said)
                .on_conflict_do_update(index_elements=[AuditCheck.account_id], set_=said)
            )


async def last_check(db: Db) -> AuditCheck | None:
    """Of the account of this transaction."""
    return (await db.scalars(select(AuditCheck))).first()


async def _newest(database: Database) -> dict[UUID, Head]:
    async with database.transaction() as db:
        rows = await db.execute(text("SELECT account_id, number, hash FROM audit_heads()"))
        return {account: Head(number=number, hash=bytes(digest)) for account, number, digest in rows}


async def _holds(database: Database, account: UUID, noted: Head | None, newest: Head) -> bool:
    """Whether the chain still holds what was noted, and leads from there to the newest event."""
    if noted is None:
        return True
    if newest.number <= noted.number:
        return False
    async with database.transaction(AccountId(account)) as db:
        return await _is_there(db, account, noted)


async def _is_there(db: Db, account: UUID, head: Head) -> bool:
    known = select(AuditEvent.hash).where(AuditEvent.account_id == account, AuditEvent.number == head.number)
    return await db.scalar(known) == head.hash
