"""Those who accepted a session, and their links when it is moved."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select

from app.database import Db, now_in
from app.invitations.models import Invitation
from app.invitations.policy import expires_at
from app.sessions.models import Session


async def count_accepted(db: Db, session: UUID) -> int:
    """Without those whose invitation was withdrawn."""
    here = select(func.count()).where(Invitation.session_id == session, Invitation.accepted_at.is_not(None))
    return await db.scalar(here.where(Invitation.revoked_at.is_(None))) or 0


async def keep_links_open(db: Db, session: Session) -> None:
    """A session that was moved to later must not find its invitations expired; none ends earlier than before."""
    until = expires_at(session.starts_at, await now_in(db))
    for row in await db.scalars(select(Invitation).where(Invitation.session_id == session.id).with_for_update()):
        row.expires_at = max(row.expires_at, until)
