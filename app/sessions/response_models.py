"""Rows of what participants answer after a session, and add to what is incomplete."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class Response(Row):
    """What one participant answered after one session, under a key of its own: `response-<id>`.
    After erasure the row keeps ids and dates only."""

    __tablename__ = "response"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id"))
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    answered_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime | None]
    periods: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default="{}")  # the person's own
    restricted_at: Mapped[datetime | None]  # kept but not used (GDPR Art. 18), until it is lifted
    hidden_at: Mapped[datetime | None]  # its erasure was asked for: unreadable from that moment
    erased_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("session_id", "participant_id"),)


class Answer(Row):
    """The answer to one wording of one question."""

    __tablename__ = "answer"
    response_id: Mapped[UUID] = mapped_column(ForeignKey("response.id", ondelete="CASCADE"))
    question_id: Mapped[UUID] = mapped_column(ForeignKey("question.id"))
    value: Mapped[bytes]  # JSON sealed under the response's key, field "answer.value:<question>"
    __table_args__ = (UniqueConstraint("response_id", "question_id"),)


class Supplement(Row):
    """What a participant adds to one recording or response of theirs, which stays as it is. Goes with it."""

    __tablename__ = "supplement"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id"), index=True)
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    recording_id: Mapped[UUID | None] = mapped_column(ForeignKey("recording.id"))  # one of the two
    response_id: Mapped[UUID | None] = mapped_column(ForeignKey("response.id"))
    text: Mapped[bytes]  # sealed under the person, field "supplement.text"
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
