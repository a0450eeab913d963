"""Append-only, hash-chained events of an account: who did what to which thing, in ids only.

Event n holds SHA-256 over the RFC 8785 canonical JSON of its own facts and the hash of event n-1, so an edited,
removed or inserted event breaks the chain. A cut-off end shows only against a hash kept elsewhere: Verdict.last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import BigInteger, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Db, Row
from recordings.model import AccountId

FIRST = bytes(32)
"""previous_hash of event 1."""

Fact = str | int | bool | None
SYSTEM = "system"


class Action(StrEnum):
    """source:subject:action"""

    ACCOUNT_CREATED = "accounts:account:created"
    MEMBER_INVITED = "accounts:member:invited"
    MEMBER_ROLE_CHANGED = "accounts:member:role_changed"
    MEMBER_REMOVED = "accounts:member:removed"
    SIGNED_IN = "accounts:login:started"
    SIGNED_OUT = "accounts:login:ended"
    STUDY_CREATED = "studies:study:created"
    STUDY_CLOSED = "studies:study:closed"
    CONSENT_TEXT_CHANGED = "studies:consent_text:changed"
    RETENTION_CHANGED = "studies:retention:changed"
    SESSION_SCHEDULED = "sessions:session:scheduled"
    ROOM_OPENED = "sessions:session:opened"
    SESSION_ENDED = "sessions:session:ended"
    NOTES_ERASED = "sessions:notes:erased"
    RECORDING_STARTED = "sessions:recording:started"
    RECORDING_PAUSED = "sessions:recording:paused"
    RECORDING_RESUMED = "sessions:recording:resumed"
    MEMBER_RECORDED = "sessions:member:recorded"
    MEMBER_NOT_RECORDED = "sessions:member:not_recorded"
    RECORDING_HELD = "sessions:recording:held"
    RECORDING_RELEASED = "sessions:recording:released"
    RECORDING_RESTRICTED = "sessions:recording:restricted"
    INVITED = "invitations:invitation:sent"
    INVITATION_REVOKED = "invitations:invitation:revoked"
    UNSUBSCRIBED = "invitations:address:unsubscribed"
    REGISTERED = "participants:participant:registered"
    ADMITTED = "participants:participant:admitted"
    CONSENT_GIVEN = "participants:consent:given"
    CONSENT_WITHDRAWN = "participants:consent:withdrawn"
    DATA_OPENED = "participants:data:opened"
    RECORDING_VIEWED = "library:recording:viewed"
    RECORDING_DOWNLOADED = "library:recording:downloaded"
    TRANSCRIPT_READ = "library:transcript:read"
    ERASURE_ASKED = "privacy:erasure:asked"
    ERASURE_RUNNING = "privacy:erasure:running"
    ERASURE_COMPLETE = "privacy:erasure:complete"
    ERASURE_PARTIAL = "privacy:erasure:partial"
    ERASURE_HELD = "privacy:erasure:held"


class AuditEvent(Row):
    """One link of the chain; the database refuses to change or remove it."""

    __tablename__ = "audit_event"
    number: Mapped[int] = mapped_column(BigInteger)  # 1, 2, 3 … per account
    at: Mapped[datetime]
    actor: Mapped[str]  # "member:<id>" | "participant:<id>" | SYSTEM
    action: Mapped[str]  # of Action
    subject: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous_hash: Mapped[bytes]
    hash: Mapped[bytes]
    __table_args__ = (UniqueConstraint("account_id", "number"),)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the chain holds; broken_at: number of the first event that does not fit."""

    intact: bool
    events: int
    last: bytes
    broken_at: int | None = None


async def record(
    db: Db,
    *,
    account: AccountId | UUID,
    actor: str,
    action: Action | str,
    subject: str,
    facts: Mapping[str, Fact | UUID] | None = None,
) -> AuditEvent:
    """Append one event in the caller's transaction. actor: "member:<id>", "participant:<id>" or SYSTEM.
    Events of one account wait for each other until the caller commits. Raises ValueError for an unknown action
    or a fact that looks like an e-mail address."""
    known: dict[str, Fact] = {name: str(v) if isinstance(v, UUID) else v for name, v in (facts or {}).items()}
    if any("@" in text_ for text_ in (actor, subject, *map(str, known.values()))):
        raise ValueError("the audit log holds ids, never addresses")
    action = Action(action)
    await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(account)})
    at: datetime = (await db.execute(text("SELECT clock_timestamp()"))).scalar_one()
    newest = select(AuditEvent.number, AuditEvent.hash).order_by(AuditEvent.number.desc()).limit(1)
    last = (await db.execute(newest.where(AuditEvent.account_id == account))).first()
    number, previous = (last.number + 1, last.hash) if last else (1, FIRST)
    event = AuditEvent(
        account_id=account,
        number=number,
        at=at,
        actor=actor,
        action=action.value,
        subject=subject,
        facts=known,
        previous_hash=previous,
    )
    event.hash = event_hash(event)
    db.add(event)
    await db.flush()
    return event


async def verify(db: Db, account: AccountId | UUID) -> Verdict:
    """Walk the whole chain of an account."""
    previous, count = FIRST, 0
    events = await db.stream_scalars(
        select(AuditEvent)
        .where(AuditEvent.account_id == account)
        .order_by(AuditEvent.number)
        .execution_options(yield_per=500)
    )
    async for event in events:
        fits = event.number == count + 1 and event.previous_hash == previous and event.hash == event_hash(event)
        if not fits:
            return Verdict(intact=False, events=count, last=previous, broken_at=count + 1)
        previous, count = event.hash, count + 1
    return Verdict(intact=True, events=count, last=previous)


def event_hash(event: AuditEvent) -> bytes:
    """SHA-256 over the canonical JSON of everything but the hash itself."""
    content: dict[str, Any] = {
        "version": 1,
        "account": str(event.account_id),
        "number": event.number,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "facts": event.facts,
        "previous": event.previous_hash.hex(),
    }
    return hashlib.sha256(rfc8785.dumps(content)).digest()


def _lock_key(account: AccountId | UUID) -> int:
    digest = hashlib.sha256(b"audit" + account.bytes).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
