"""Rows of erasures with their certificates, and of participants' requests."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Row


class ErasureReason(StrEnum):
    REQUEST = "request"  # the participant asked
    RETENTION = "retention"  # the date set by the owner has come
    WITHDRAWAL = "withdrawal"  # consent to a kind was withdrawn
    UNCOVERED = "uncovered"  # a member's words, which no participant's consent allows any more
    OWNER = "owner"  # the owner erases a recording or session
    CLOSED = "closed"  # the study or account is closed


class ErasureState(StrEnum):
    ASKED = "asked"
    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"  # something could not be verified; the certificate says what and it is tried again
    HELD = "held"  # a hold stops it


class Erasure(Row):
    """One erasure: of a person (all they left in the account), of recordings, or of tracks of some kinds."""

    __tablename__ = "erasure"
    reason: Mapped[str]
    person_id: Mapped[UUID] = mapped_column(index=True)
    recording_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))  # None: the whole person
    response_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))  # answers that go beside the recordings named
    track_kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # None: whole recordings
    note_sessions: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))  # sessions whose notes until then go along
    asked_by: Mapped[str]  # "participant:<id>" | "member:<id>" | "system"
    instruction: Mapped[str]  # policy version or request behind it
    state: Mapped[str] = mapped_column(default=ErasureState.ASKED)
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tried_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    receipt: Mapped[str]  # number shown to people
    found: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)  # what stood before erasing


class RequestKind(StrEnum):
    """What a participant can ask for (GDPR Art. 7(3), 15 to 18, 21)."""

    ERASURE = "erasure"
    WITHDRAWAL = "withdrawal"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    RECTIFICATION = "rectification"
    ACCESS = "access"


class RequestWay(StrEnum):
    """How a request came in that a member noted for the participant."""

    PHONE = "phone"
    LETTER = "letter"
    MAIL = "e-mail"
    PERSON = "in person"


class RequestState(StrEnum):
    OPEN = "open"  # waits for the owner, or for an erasure that is going on
    IN_FORCE = "in force"  # a restriction that was carried out and stands
    LIFTING = "lifting"  # the participant is being told; it is lifted once that mail is sent
    DONE = "done"
    REFUSED = "refused"


class RequestOutcome(StrEnum):
    """What the owner answered last."""

    GRANTED = "granted"
    PARTLY = "partly"  # some of what it covers; see RequestItem
    REFUSED = "refused"
    LIFTED = "lifted"  # a restriction that stood


class DataRequest(Row):
    """One request of a participant, with the day by which it is answered (GDPR Art. 12(3)). Ids and dates stay when
    the person is erased, three years long (register.py); the words go."""

    __tablename__ = "data_request"
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default=RequestState.OPEN)
    receipt: Mapped[str]  # number shown to people
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    due_on: Mapped[date]
    words: Mapped[bytes | None]  # sealed under the person, field "data_request.words": what they wrote
    erasure_id: Mapped[UUID | None]  # the erasure that carries it out
    answer: Mapped[bytes | None]  # sealed under the person, field "data_request.answer": what the owner wrote
    answered_by: Mapped[UUID | None]  # the member
    answered_at: Mapped[datetime | None]
    extended_at: Mapped[datetime | None]  # by two months, with the participant told why (GDPR Art. 12(3))
    extension: Mapped[bytes | None]  # sealed under the person, field "data_request.extension": why it takes longer
    looked_on: Mapped[date | None]  # the day up to which reminders were sent (privacy.silence)
    mail_id: Mapped[UUID | None]  # by which the participant is told before a restriction is lifted
    way: Mapped[str | None]  # how it came in, where a member noted it; None: they asked here themselves
    noted_by: Mapped[UUID | None]  # that member
    confirmed_at: Mapped[datetime | None]  # they said under My data that it was them who asked
    outcome: Mapped[str | None]
    ground: Mapped[str | None]  # why it was refused or lifted, of the law's list (privacy.records.grounds)


class RequestItem(Row):
    """What became of one thing that a request covers, where not all of it was answered alike."""

    __tablename__ = "request_item"
    request_id: Mapped[UUID] = mapped_column(ForeignKey("data_request.id"), index=True)
    sort: Mapped[str]  # camera | screen | answers
    item_id: Mapped[UUID]  # the recording, or the response
    ground: Mapped[str | None]  # why it was refused; None: granted


class Certificate(Row):
    """Signed JSON (Ed25519 over RFC 8785 canonical form): counts, bytes, keys, times, reason, verification."""

    __tablename__ = "certificate"
    erasure_id: Mapped[UUID] = mapped_column(index=True)
    state: Mapped[str]  # complete | partial
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    signature: Mapped[bytes]
    public_key: Mapped[bytes]  # of the key that signed, so that an old paper outlives a new key
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AccountCertificate(Row):
    """Signed JSON beside those of the persons: that an account is closed, what went with it and what stays."""

    __tablename__ = "account_certificate"
    state: Mapped[str]  # complete | partial
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    signature: Mapped[bytes]
    public_key: Mapped[bytes]
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerMark(Base):
    """How far this database knows the ledger outside it (app.ledger): a database restored from a backup knows less,
    and one without its ledger does not serve. One row."""

    __tablename__ = "ledger_mark"
    only: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ledger: Mapped[UUID]
    position: Mapped[int] = mapped_column(BigInteger)  # bytes
    serving: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # app.privacy.serving


class Orphan(Base):
    """What stands alone in the object store or in the database, and since when. place: a prefix of
    object keys, which are ids. Belongs to the platform: some of it belongs to no account that is known here."""

    __tablename__ = "orphan"
    place: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    seen_at: Mapped[datetime]


class SessionDue(Base):
    """When the first of what is held of a session goes by itself, None: not by itself; no row: nothing is held.

    PostgreSQL writes it at the end of every transaction that changed what it follows from (tell_due and the triggers
    tells_due of revision 0003), so that nothing can be forgotten; the application only reads. What a page shows is
    said by the rules; beside them this may differ in what is past: a hold that ended still counts as it stood."""

    __tablename__ = "session_due"
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    due: Mapped[datetime | None]
    __table_args__ = (Index("session_due_in_order", "account_id", "due", "session_id"),)
