"""Rows of a study: what is asked, what is recorded, until when."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, false, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row

DEFAULT_RETENTION_DAYS = 180


class ConsentKind(StrEnum):
    """What a participant may allow, each with its own switch."""

    VIDEO = "video"
    AUDIO = "audio"
    SCREEN = "screen"  # covers the sound of the shared tab
    TRANSCRIPT = "transcript"


class Reminder(StrEnum):
    """How long before a session its participants are reminded of it by mail."""

    DAY = "day"  # the day before, at the same time of day
    HOUR = "hour"
    NONE = "none"


class Study(Row):
    """contact: shown to participants, required; retention_days None: until asked."""

    __tablename__ = "study"
    title: Mapped[str]
    contact_name: Mapped[bytes]  # sealed under the account, field "study.contact_name"
    contact_email: Mapped[bytes]  # sealed under the account, field "study.contact_email"
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    language: Mapped[str] = mapped_column(default="en")  # of transcription
    retention_days: Mapped[int | None] = mapped_column(default=DEFAULT_RETENTION_DAYS)
    # kind -> days of what goes earlier (clocks)
    periods: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default="{}")
    retention_version: Mapped[int] = mapped_column(default=1)
    ending: Mapped[str] = mapped_column(
        default="erase", server_default="erase"
    )  # clocks.Ending, of answers past their date
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # sessions are seen by owners and the members assigned to each (accounts.policy.sees_session), not by the whole team
    assigned_only: Mapped[bool] = mapped_column(default=False, server_default=false())
    closed_at: Mapped[datetime | None]  # no new sessions and invitations; what is kept goes by its date
    reminder: Mapped[str] = mapped_column(default=Reminder.DAY, server_default=Reminder.DAY)
    # above the questions, in the researcher's own words
    questions_words: Mapped[str] = mapped_column(default="", server_default="")
    __table_args__ = (Index("study_assigned_only", "account_id", postgresql_where=text("assigned_only")),)


class ConsentText(Row):
    """A version of the study's consent text; a consent record names the version and its hash."""

    __tablename__ = "consent_text"
    study_id: Mapped[UUID] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"))
    version: Mapped[int]
    text: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (UniqueConstraint("study_id", "version"),)


class QuestionKind(StrEnum):
    """How a question is answered."""

    TEXT = "text"
    CHOICE = "choice"
    SCALE = "scale"


class Question(Row):
    """One wording of a question that is asked after the session. A row is never changed: another wording is a
    row of its own with the same `origin_id` and the next version, so that every answer keeps what was asked."""

    __tablename__ = "question"
    study_id: Mapped[UUID] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), index=True)
    origin_id: Mapped[UUID]  # id of the first wording
    version: Mapped[int] = mapped_column(default=1)
    position: Mapped[int]
    kind: Mapped[str]
    prompt: Mapped[str]
    required: Mapped[bool] = mapped_column(default=False)
    options: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)  # of a choice
    several: Mapped[bool] = mapped_column(default=False)  # more than one option may be chosen
    lowest: Mapped[int | None]  # of a scale
    highest: Mapped[int | None]
    lowest_label: Mapped[str] = mapped_column(default="")
    highest_label: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[datetime | None]  # for the first time; from then on it is archived, never deleted
    archived_at: Mapped[datetime | None]  # not asked any more
    __table_args__ = (UniqueConstraint("origin_id", "version"),)


class Tally(Row):
    """How often each choice of a question was taken, in answers that have gone by their date. Of nobody: no
    participant, no session, no moment, and no free text."""

    __tablename__ = "tally"
    question_id: Mapped[UUID] = mapped_column(ForeignKey("question.id", ondelete="CASCADE"), unique=True)
    answers: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)  # option or number of the scale -> how many
