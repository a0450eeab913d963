"""What should have been erased by itself and was not: the alarm that says the worker is off, or storage refuses."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text

from app.database import Database
from app.sessions.models import Recording, Session
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import due
from app.sessions.service import recording_facts
from app.studies.models import Study
from recordings.model import AccountId

LATE = timedelta(days=1)
LOOKED_AT = 500
"""The oldest that may be due; one that really is tells enough."""


async def overdue(database: Database, now: datetime) -> timedelta | None:
    """How long ago the most overdue recording, or kind of it, should have been erased; None when nothing is late by a
    day. Held and restricted recordings are not due (sessions.policy.due)."""
    longest: timedelta | None = None
    for account, ids in (await _candidates(database, now - LATE)).items():
        async with database.transaction(account) as db:
            rows = await db.execute(
                select(Recording, Session, Study)
                .join(Session, Session.id == Recording.session_id)
                .join(Study, Study.id == Session.study_id)
                .where(Recording.id.in_(ids))
            )
            held = await held_parts(db, ids, asked_too=True)
            for recording, session, study in rows:
                dates = parts_due(recording, session, study, held.get(recording.id, ()), now)
                for until in (due(recording_facts(recording, session), study.retention_days, now), *dates.values()):
                    if until is not None and now - until >= LATE:
                        longest = max(longest or LATE, now - until)
    return longest


async def _candidates(database: Database, now: datetime) -> dict[AccountId, list[UUID]]:
    found: dict[AccountId, list[UUID]] = defaultdict(list)
    async with database.transaction() as db:
        values = {"now": now, "limit": LOOKED_AT}
        for door in (
            text("SELECT * FROM due_recordings(:now, :limit, true)"),
            text("SELECT * FROM due_parts(:now, :limit, true)"),
        ):
            for account, one in await db.execute(door, values):
                found[AccountId(account)].append(one)
    return found
