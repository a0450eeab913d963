"""Takes of a media process that did not come back: what was stored of them becomes playable without it.

Should it come back after all, it opens the takes again of which pieces still lie in its spool (node_ledger.py).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, text

from app.database import Database, now_in
from app.sessions.models import Node, Take
from app.sessions.service import close_take
from recordings.model import AccountId, RecordingId

GIVEN_UP_AFTER = timedelta(minutes=10)
"""A process that fell is started again within seconds; a machine may need minutes."""


async def close_forsaken(database: Database) -> int:
    """Close the open takes of every media process that fell silent, as interrupted. Safe to run twice; returns
    how many."""
    async with database.transaction() as db:
        silent = select(Node.name).where(Node.heartbeat_at < await now_in(db) - GIVEN_UP_AFTER)
        left = [
            (AccountId(row.account_id), row.take_id)
            for name in await db.scalars(silent)
            for row in await db.execute(text("SELECT * FROM open_takes(node_ => :node)"), {"node": name})
        ]
    for account, take in left:
        async with database.transaction(account) as db:
            row = await db.get_one(Take, take)
            await close_take(db, recording=RecordingId(row.recording_id), number=row.number, interrupted=True)
    return len(left)
