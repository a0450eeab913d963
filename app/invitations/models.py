"""Rows of an invitation: one participant, one session, one secret link."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class Invitation(Row):
    """An introduction, not a login: it opens one session's join page. Only hashes of its links are kept."""

    __tablename__ = "invitation"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id"))
    participant_id: Mapped[UUID] = mapped_column(ForeignKey("participant.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    unsubscribe_hash: Mapped[bytes] = mapped_column(unique=True)  # can do nothing but unsubscribe, never expires
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    admitted_at: Mapped[datetime | None]  # let in from the waiting room
    paused_at: Mapped[datetime | None]  # the participant paused their own recording
    __table_args__ = (UniqueConstraint("session_id", "participant_id"),)
