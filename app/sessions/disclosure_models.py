"""Rows of the register of disclosures: who outside the account was given something of a participant, on which legal
ground (GDPR Art. 15(1)(c), 30(1)(d)), and that each is told what became of it (Art. 19)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class Disclosed(StrEnum):
    """What somebody outside was given."""

    CONTACT = "contact"  # name and address
    VIDEO = "video"
    AUDIO = "audio"
    SCREEN = "screen"
    TRANSCRIPT = "transcript"
    ANSWERS = "answers"
    NOTES = "notes"


class DisclosureGround(StrEnum):
    """What allowed it."""

    VITAL = "vital"  # Art. 6(1)(d)
    LAW = "law"  # a law, a court or a regulator: Art. 6(1)(c)
    COMPLAINT = "complaint"
    CLAIM = "claim"
    CONSENT = "consent"
    OTHER = "other"


class Silence(StrEnum):
    """Why a participant may not be told yet (GDPR Art. 14(5), 15(4), 23)."""

    ORDER = "order"
    INQUIRY = "inquiry"
    DANGER = "danger"


class Change(StrEnum):
    """What recipients are told of (GDPR Art. 19)."""

    ERASED = "erased"
    RECTIFIED = "rectified"
    RESTRICTED = "restricted"


class NotTold(StrEnum):
    """The two cases in which Art. 19 asks for no word to a recipient."""

    IMPOSSIBLE = "impossible"
    DISPROPORTIONATE = "disproportionate"


class Disclosure(Row):
    """One entry: what of one participant one recipient was given. Never changed: a later entry corrects it. Ids, dates,
    kinds and the recipient stay when the person is erased, three years long; words about the person go."""

    __tablename__ = "disclosure"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id"), index=True)
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    recipient: Mapped[bytes]  # sealed under the account, field "disclosure.recipient"
    contact: Mapped[bytes]  # sealed under the account, field "disclosure.contact": where to tell them
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))  # none: a correction says that nothing was given
    ground: Mapped[str]
    words: Mapped[bytes | None]  # sealed under the person, field "disclosure.words": which law, court or file
    given_on: Mapped[date]
    told_before: Mapped[bool]  # the participant, before it was given
    untold: Mapped[bytes | None]  # sealed under the person, field "disclosure.untold": why they were not
    hidden_until: Mapped[date | None]  # until then the participant may not be told
    hidden_ground: Mapped[str | None]
    corrects: Mapped[UUID | None]  # the entry that this one takes the place of
    by: Mapped[UUID]  # the member
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class RecipientNotice(Row):
    """One recipient to be told of one change, and what became of that."""

    __tablename__ = "recipient_notice"
    disclosure_id: Mapped[UUID] = mapped_column(ForeignKey("disclosure.id"))
    change: Mapped[str]
    cause_id: Mapped[UUID]  # the erasure or request behind it
    receipt: Mapped[str]  # of that
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    told_on: Mapped[date | None]
    ground: Mapped[str | None]  # why they were not told
    words: Mapped[bytes | None]  # sealed under the account, field "recipient_notice.words"
    answered_by: Mapped[UUID | None]  # the member
    answered_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("disclosure_id", "cause_id"),)
