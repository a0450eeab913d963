"""The sessions in which the people of a session took part before it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from app.database import Db
from app.invitations.models import Invitation
from app.sessions.models import Session


async def earlier_sessions(db: Db, session: UUID) -> list[UUID]:
    """Of the same study, begun or planned before it, with somebody who is invited to it; the oldest first. Whoever is
    not shown every session gives away no more than they see."""
    this, here = aliased(Session), aliased(Invitation)
    their = select(here.participant_id).where(here.session_id == session, here.revoked_at.is_(None))
    found = await db.scalars(
        select(Session.id)
        .join(this, (this.id == session) & (this.study_id == Session.study_id))
        .where(_began(Session) < _began(this))
        .where(Session.id.in_(select(Invitation.session_id).where(Invitation.participant_id.in_(their))))
        .order_by(_began(Session), Session.id)
    )
    return list(found)


def _began(of: type[Session]) -> ColumnElement[datetime]:
    return func.coalesce(of.started_at, of.starts_at, of.created_at)
