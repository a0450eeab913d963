"""Sessions that nobody ended. What is kept counts from the end of its session, so an end always comes: a session in
which nobody has been for a day ends by itself, at the last thing that happened in it. While somebody is in it, what was
recorded counts from its own beginning (sessions.policy.keep_until), so nothing waits for an end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text

from app.database import Database, Db, now_in
from app.room.models import Presence
from app.sessions.models import Note, Recording, Session, SessionState, Take
from app.sessions.response_models import Response
from app.sessions.service import end
from recordings.model import AccountId

LEFT_AFTER = timedelta(days=1)


def left_at(happened: Iterable[datetime | None], starts_at: datetime | None, now: datetime) -> datetime | None:
    """When an open session ended, if nobody has been in it for so long; None: it goes on. happened: whatever did in it.
    starts_at: a room may be opened days before."""
    last = max((at for at in happened if at is not None), default=None)
    if last is None or now < max(last, starts_at or last) + LEFT_AFTER:
        return None
    return last


async def end_left_open(database: Database, now: datetime) -> int:
    """End the sessions that were left open; returns how many. Safe to run twice and beside itself."""
    async with database.transaction() as db:
        live = [(AccountId(row.account_id), row.session_id) for row in await db.execute(text(_LIVE))]
    ended = 0
    for account, session in live:
        async with database.transaction(account) as db:
            ended += await _end_if_left(db, session, now)
    return ended


async def _end_if_left(db: Db, session: UUID, now: datetime) -> bool:
    row = await db.get(Session, session, with_for_update=True)
    if row is None or row.state != SessionState.LIVE:
        return False
    happened = [row.created_at, row.started_at, row.recording_at, *await _happened(db, session)]
    open_take = select(Take.id).join(Recording, Recording.id == Take.recording_id)
    if await db.scalar(open_take.where(Recording.session_id == session, Take.ended_at.is_(None)).limit(1)):
        return False
    at = left_at(happened, row.starts_at, min(now, await now_in(db)))
    if at is None:
        return False
    await end(db, session=session)
    row.ended_at = at
    return True


async def _happened(db: Db, session: UUID) -> list[datetime | None]:
    """The last of each kind of thing."""
    of_takes = select(func.max(Take.started_at), func.max(Take.ended_at)).join(
        Recording, Recording.id == Take.recording_id
    )
    takes = (await db.execute(of_takes.where(Recording.session_id == session))).one()
    return [
        *takes,
        await db.scalar(select(func.max(Presence.seen_at)).where(Presence.session_id == session)),
        await db.scalar(select(func.max(Note.at)).where(Note.session_id == session)),
        await db.scalar(select(func.max(Response.answered_at)).where(Response.session_id == session)),
    ]


_LIVE = "SELECT account_id, session_id FROM live_sessions()"
