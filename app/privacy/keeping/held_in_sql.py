"""What is held of recordings, and which a hold keeps, as SQL: for finding and counting what is too much to load.

When it goes is kept by the database itself (models.SessionDue).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement

from app.sessions.models import Recording, RecordingState

KEPT = (RecordingState.ERASED, RecordingState.EMPTY)
"""States in which nothing is held of a recording."""


def held_at(now: datetime) -> ColumnElement[bool]:
    """sessions.policy.is_held."""
    return Recording.held_reason.is_not(None) & (Recording.held_until.is_(None) | (Recording.held_until > now))
