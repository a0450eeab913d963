"""Rows of the library: what a transcript says instead, as a layer over what was heard."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class LineCorrection(Row):
    """One line said anew. Rows are only added, and the newest of a line counts; what was heard stays as it is.
    Goes with its transcript."""

    __tablename__ = "line_correction"
    transcript_id: Mapped[UUID] = mapped_column(ForeignKey("transcript.id"), index=True)
    start_ms: Mapped[int]  # of the line, on the recording's timeline
    text: Mapped[bytes]  # sealed under the transcript's own key, field "line_correction.text"
    by: Mapped[str]  # "member:<id>" | "participant:<id>"
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
