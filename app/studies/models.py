"""Rows of a study: what is asked, what is recorded, until when."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row

DEFAULT_RETENTION_DAYS = 180


class ConsentKind(StrEnum):
    """What a participant may allow, each with its own switch."""

    VIDEO = "video"
    AUDIO = "audio"
    SCREEN = "screen"  # covers the sound of the shared tab
    TRANSCRIPT = "transcript"


class Study(Row):
    """contact: shown to participants, required; retention_days None: until asked."""

    __tablename__ = "study"
    title: Mapped[str]
    contact_name: Mapped[bytes]  # sealed under the account, field "study.contact_name"
    contact_email: Mapped[bytes]  # sealed under the account, field "study.contact_email"
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    language: Mapped[str] = mapped_column(default="en")  # of transcription
    retention_days: Mapped[int | None] = mapped_column(default=DEFAULT_RETENTION_DAYS)
    retention_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]


class ConsentText(Row):
    """A version of the study's consent text; a consent record names the version and its hash."""

    __tablename__ = "consent_text"
    study_id: Mapped[UUID] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"))
    version: Mapped[int]
    text: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (UniqueConstraint("study_id", "version"),)
