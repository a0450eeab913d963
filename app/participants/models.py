"""Rows of a participant: contact details (sealed) and the append-only consent log."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class Participant(Row):
    """The person invited, within one account. `id` is the PersonId of the key and recordings.
    Name and address are sealed under the person's key; after erasure the row keeps ids and dates only."""

    __tablename__ = "participant"
    name: Mapped[bytes | None]  # field "participant.name": first name
    email: Mapped[bytes | None]  # field "participant.email"
    email_index: Mapped[bytes | None]
    language: Mapped[str | None]  # of pages and mails: chosen, or the one registered in; None: not known yet
    # kind -> days of what is kept shorter of them; written into their recordings and responses
    periods: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    registered_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    no_session_mails_at: Mapped[datetime | None]  # since when they want no mails about their sessions
    # since when all of theirs is kept and not used (GDPR Art. 18), what comes later too; None: no such wish stands
    restricted_at: Mapped[datetime | None]
    leaving_at: Mapped[datetime | None]  # since all of theirs was first to be erased; a hold may keep some
    __table_args__ = (UniqueConstraint("account_id", "email_index"),)


class ConsentPurpose(StrEnum):
    """What a consent is for; one says nothing about another."""

    RESEARCH = "research"
    ENGINE_OUTSIDE_EU = "engine outside the EU"  # a speech engine there may hear the voice (GDPR Art. 44-49)


class Consent(Row):
    """Append-only: kind + purpose given or withdrawn, for one session, with the text that was shown."""

    __tablename__ = "consent"
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))  # order of the log
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id"), index=True)
    kind: Mapped[str]
    purpose: Mapped[str] = mapped_column(default=ConsentPurpose.RESEARCH)
    given: Mapped[bool]
    text_version: Mapped[int]
    text_hash: Mapped[bytes]  # SHA-256 of consent text and notice as shown
    language: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class DataCode(Row):
    """A 6-digit code mailed to the registered address; opens stored data for 10 minutes."""

    __tablename__ = "data_code"
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    code_hash: Mapped[bytes]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    used_at: Mapped[datetime | None]


class AddressChange(Row):
    """An address a participant wants to have instead, until a code mailed to it proves that it is theirs."""

    __tablename__ = "address_change"
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    address: Mapped[bytes]  # sealed under the person, field "address_change.address"
    code_hash: Mapped[bytes]
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
