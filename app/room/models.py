"""Who is in a room: a page that is open says so again and again; ids only, gone with the session."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class Presence(Row):
    """One person whose room page is open; counts as present for a few seconds after `seen_at`."""

    __tablename__ = "presence"
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"))
    person_id: Mapped[UUID]
    role: Mapped[str]  # owner | researcher | observer | participant
    seen_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("session_id", "person_id"),)
