"""Append-only, hash-chained events of an account: who did what to which thing, in ids only.

Event n holds SHA-256 over the RFC 8785 canonical JSON of its own facts and the hash of event n-1, so an edited,
removed or inserted event breaks the chain. A cut-off end shows only against a hash kept elsewhere: Verdict.last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import BigInteger, Index, Select, UniqueConstraint, event, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, SessionTransaction, mapped_column

from app.database import Db, Row
from recordings.model import AccountId

FIRST = bytes(32)
"""previous_hash of event 1."""

Fact = str | int | bool | None
SYSTEM = "system"


class Action(StrEnum):
    """source:subject:action"""

    ACCOUNT_CREATED = "accounts:account:created"
    ACCOUNT_CLOSING = "accounts:account:closing"
    ACCOUNT_KEPT = "accounts:account:kept"
    ACCOUNT_CLOSED = "accounts:account:closed"
    ACCOUNT_GONE = "accounts:account:gone"
    ACCOUNT_EXPORTED = "accounts:account:exported"
    AGREEMENT_ACCEPTED = "accounts:agreement:accepted"
    MEMBER_INVITED = "accounts:member:invited"
    MEMBER_ROLE_CHANGED = "accounts:member:role_changed"
    MEMBER_REMOVED = "accounts:member:removed"
    PASSKEY_ADDED = "accounts:passkey:added"
    PASSKEY_REMOVED = "accounts:passkey:removed"
    PASSKEY_USED = "accounts:passkey:used"
    PASSKEYS_NEEDED = "accounts:passkeys:needed"
    PASSKEYS_NOT_NEEDED = "accounts:passkeys:not_needed"
    SIGNED_IN = "accounts:login:started"
    SIGNED_OUT = "accounts:login:ended"
    STUDY_CREATED = "studies:study:created"
    STUDY_CHANGED = "studies:study:changed"
    STUDY_CLOSED = "studies:study:closed"
    STUDY_REOPENED = "studies:study:reopened"
    QUESTIONS_CHANGED = "studies:questions:changed"
    CONSENT_TEXT_CHANGED = "studies:consent_text:changed"
    RETENTION_CHANGED = "studies:retention:changed"
    STUDY_ASSIGNED_ONLY = "studies:study:seen_by_assigned"
    STUDY_SEEN_BY_ALL = "studies:study:seen_by_all"
    SESSION_SCHEDULED = "sessions:session:scheduled"
    MEMBER_ASSIGNED = "sessions:member:assigned"
    MEMBER_UNASSIGNED = "sessions:member:unassigned"
    ROOM_OPENED = "sessions:session:opened"
    SESSION_ENDED = "sessions:session:ended"
    SESSION_MOVED = "sessions:session:moved"
    REMINDER_SWITCHED = "sessions:reminder:switched"
    TOKEN_ISSUED = "sessions:token:issued"
    NOTE_WRITTEN = "sessions:note:written"
    NOTE_DELETED = "sessions:note:deleted"
    NOTES_ERASED = "sessions:notes:erased"
    ANSWERS_GIVEN = "sessions:answers:given"
    ANSWERS_READ = "sessions:answers:read"
    ANSWERS_DOWNLOADED = "sessions:answers:downloaded"
    RECORDING_STARTED = "sessions:recording:started"
    RECORDING_PAUSED = "sessions:recording:paused"
    RECORDING_RESUMED = "sessions:recording:resumed"
    MEMBER_RECORDED = "sessions:member:recorded"
    MEMBER_NOT_RECORDED = "sessions:member:not_recorded"
    RECORDING_HELD = "sessions:recording:held"
    RECORDING_RELEASED = "sessions:recording:released"
    RECORDING_RESTRICTED = "sessions:recording:restricted"
    RECORDING_UNRESTRICTED = "sessions:recording:unrestricted"
    INVITED = "invitations:invitation:sent"
    INVITATION_REVOKED = "invitations:invitation:revoked"
    UNSUBSCRIBED = "invitations:address:unsubscribed"
    SESSION_MAILS_SWITCHED = "invitations:session_mails:switched"
    REGISTERED = "participants:participant:registered"
    ADMITTED = "participants:participant:admitted"
    CONSENT_GIVEN = "participants:consent:given"
    CONSENT_WITHDRAWN = "participants:consent:withdrawn"
    OWN_RECORDING_PAUSED = "participants:recording:paused"
    OWN_RECORDING_RESUMED = "participants:recording:resumed"
    ADDRESS_CODE_ASKED = "participants:address:code_asked"
    ADDRESS_CORRECTED = "participants:address:corrected"
    CODE_ASKED = "participants:code:asked"
    DATA_OPENED = "participants:data:opened"
    DATA_SHOWN = "participants:data:shown"
    SESSION_REVIEWED = "library:session:reviewed"
    RECORDING_TRIED_AGAIN = "library:recording:tried_again"
    TRANSCRIPT_TRIED_AGAIN = "library:transcript:tried_again"
    LIVE_WATCHED = "library:recording:watched_live"
    RECORDING_VIEWED = "library:recording:viewed"
    RECORDING_DOWNLOADED = "library:recording:downloaded"
    TRANSCRIPT_READ = "library:transcript:read"
    LINE_CORRECTED = "library:transcript:corrected"
    REQUEST_RECEIVED = "privacy:request:received"
    SUPPLEMENT_WRITTEN = "participants:supplement:written"
    SUPPLEMENT_TAKEN_BACK = "participants:supplement:taken_back"
    REQUEST_NOTED = "privacy:request:noted"
    REQUEST_CONFIRMED = "privacy:request:confirmed"
    REQUEST_DISOWNED = "privacy:request:disowned"
    REQUEST_ANSWERED = "privacy:request:answered"
    REQUEST_EXTENDED = "privacy:request:extended"
    REQUEST_REMINDED = "privacy:request:reminded"
    REQUEST_ESCALATED = "privacy:request:escalated"
    REQUEST_FORGOTTEN = "privacy:request:forgotten"
    DISCLOSURE_NOTED = "privacy:disclosure:noted"
    DISCLOSURE_FORGOTTEN = "privacy:disclosure:forgotten"
    RECIPIENT_TOLD = "privacy:recipient:told"
    RECIPIENT_NOT_TOLD = "privacy:recipient:not_told"
    CONTACTS_EXPORTED = "privacy:contacts:exported"
    DATA_EXPORTED = "privacy:data:exported"
    ERASURE_ASKED = "privacy:erasure:asked"
    ERASURE_RUNNING = "privacy:erasure:running"
    ERASURE_COMPLETE = "privacy:erasure:complete"
    ERASURE_PARTIAL = "privacy:erasure:partial"
    ERASURE_HELD = "privacy:erasure:held"
    ORPHANS_ERASED = "privacy:objects:erased_without_row"
    FILE_MISSED = "privacy:file:missed"
    FILE_FOUND = "privacy:file:found"
    RESTORED = "privacy:system:restored"
    LEDGER_LOSS_ACCEPTED = "privacy:ledger:loss_accepted"
    SUPPORT_ASKED = "support:grant:asked"
    SUPPORT_GRANTED = "support:grant:given"
    SUPPORT_REFUSED = "support:grant:refused"
    SUPPORT_REVOKED = "support:grant:revoked"
    SUPPORT_READ = "support:object:read"
    SUPPORT_RULE_CHANGED = "support:rule:changed"
    OPERATOR_ADDED = "support:operator:added"
    OPERATOR_REMOVED = "support:operator:removed"
    OPERATOR_LINK_USED = "support:operator:link_used"
    OPERATOR_SIGNED_IN = "support:operator:signed_in"
    OPERATOR_SIGNED_OUT = "support:operator:signed_out"
    OPERATOR_PASSKEY_ADDED = "support:passkey:added"


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
    __table_args__ = (
        UniqueConstraint("account_id", "number"),
        Index("audit_event_subject", "account_id", "subject", "at"),
    )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the chain holds; broken_at: number of the first event that does not fit."""

    intact: bool
    events: int
    last: bytes
    broken_at: int | None = None


@dataclass
class Walk:
    """A chain on the way from its first event, as far as it holds."""

    previous: bytes = FIRST
    count: int = 0
    broken: bool = False

    def follow(self, link: AuditEvent) -> bool:
        """The next event; False where it does not fit, and then the walk is over."""
        fits = link.number == self.count + 1 and link.previous_hash == self.previous and link.hash == event_hash(link)
        if fits:
            self.previous, self.count = link.hash, link.number
        self.broken = not fits
        return fits

    @property
    def verdict(self) -> Verdict:
        broken_at = self.count + 1 if self.broken else None
        return Verdict(intact=not self.broken, events=self.count, last=self.previous, broken_at=broken_at)


async def record(
    db: Db,
    *,
    account: AccountId | UUID,
    actor: str,
    action: Action | str,
    subject: str,
    facts: Mapping[str, Fact | UUID] | None = None,
    once_within: timedelta | None = None,
) -> None:
    """Append one event with the caller's transaction: it is written as the last thing before the commit, or not at
    all. actor: "member:<id>", "participant:<id>" or SYSTEM. once_within: not again when the same was recorded less
    than so long ago, as a player asks for one film in a hundred ranges.
    Raises ValueError for an unknown action or a fact that looks like an e-mail address."""
    known: dict[str, Fact] = {name: str(v) if isinstance(v, UUID) else v for name, v in (facts or {}).items()}
    if any("@" in text_ for text_ in (actor, subject, *map(str, known.values()))):
        raise ValueError("the audit log holds ids, never addresses")
    entry = _Entry(
        account=UUID(str(account)), actor=actor, action=Action(action), subject=subject, facts=known, once=once_within
    )
    if once_within is not None and await db.scalar(_same(entry)) is not None:
        return
    _waiting(db.sync_session).append(entry)


async def verify(db: Db, account: AccountId | UUID) -> Verdict:
    """Walk the whole chain of an account."""
    walk = Walk()
    events = await db.stream_scalars(
        select(AuditEvent)
        .where(AuditEvent.account_id == account)
        .order_by(AuditEvent.number)
        .execution_options(yield_per=500)
    )
    async for link in events:
        if not walk.follow(link):
            break
    return walk.verdict


def content_of(link: AuditEvent) -> dict[str, Any]:
    """All that an event says, but its hash, as JSON has it."""
    return {
        "account": str(link.account_id),
        "number": link.number,
        "at": link.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": link.actor,
        "action": link.action,
        "subject": link.subject,
        "facts": link.facts,
        "previous": link.previous_hash.hex(),
    }


def event_hash(link: AuditEvent) -> bytes:
    """SHA-256 over the canonical JSON (RFC 8785) of "version": 1 and everything but the hash itself."""
    return hashlib.sha256(rfc8785.dumps({"version": 1, **content_of(link)})).digest()


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """An event on its way into the chain."""

    account: UUID
    actor: str
    action: Action
    subject: str
    facts: dict[str, Fact]
    once: timedelta | None


def _waiting(session: Session) -> list[_Entry]:
    entries: list[_Entry] = session.info.setdefault("audit", [])
    return entries


# Appending to a chain is one at a time for each account. Done at the very end of a transaction it makes nobody wait
# for our other work, and whatever rows were locked before, this lock comes last, so that no two wait for each other.


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return
    entries = session.info.pop("audit", [])
    for account in dict.fromkeys(entry.account for entry in entries):
        _append(session, account, [entry for entry in entries if entry.account == account])


@event.listens_for(Session, "after_transaction_create")
def _mark(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info.setdefault("audit_marks", {})[transaction] = len(_waiting(session))


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, rolled_back: SessionTransaction) -> None:
    """What a rolled back savepoint or transaction wanted to say has not happened."""
    del _waiting(session)[session.info.get("audit_marks", {}).pop(rolled_back, 0) :]


def _append(session: Session, account: UUID, entries: Sequence[_Entry]) -> None:
    session.flush()
    session.execute(text("SELECT set_config('junier.account_id', :account, true)"), {"account": str(account)})
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(account)})
    entries = [one for one in entries if one.once is None or session.scalar(_same(one)) is None]
    newest = select(AuditEvent.number, AuditEvent.hash).order_by(AuditEvent.number.desc()).limit(1)
    last = session.execute(newest.where(AuditEvent.account_id == account)).first()
    at: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    number, previous = (last.number, last.hash) if last else (0, FIRST)
    for entry in entries:
        number += 1
        made = AuditEvent(
            account_id=account,
            number=number,
            at=at,
            actor=entry.actor,
            action=entry.action.value,
            subject=entry.subject,
            facts=entry.facts,
            previous_hash=previous,
        )
        previous = made.hash = event_hash(made)
        session.add(made)
    session.flush()


def _same(entry: _Entry) -> Select[UUID]:
    """The event that makes another one needless."""
    assert entry.once is not None
    return (
        select(AuditEvent.id)
        .where(
            AuditEvent.account_id == entry.account,
            AuditEvent.subject == entry.subject,
            AuditEvent.action == entry.action.value,
            AuditEvent.actor == entry.actor,
            AuditEvent.facts == entry.facts,
            AuditEvent.at > func.statement_timestamp() - entry.once,
        )
        .limit(1)
    )


def _lock_key(account: AccountId | UUID) -> int:
    digest = hashlib.sha256(b"audit" + account.bytes).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
