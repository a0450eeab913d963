"""Verbs of a session's moment: move it, switch its reminder. Who has to know is told by invitations.session_mails."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.accounts.closing import require_staying
from app.audit import Action, record
from app.database import Db, now_in
from app.errors import Conflict, NotThere
from app.sessions.models import Session, SessionState
from app.sessions.reminder import may_move
from app.sessions.service import end


class CannotMove(Conflict):
    """This session cannot be moved."""


async def move(db: Db, *, session: UUID, starts_at: datetime, time_zone: str, by: str) -> Session | None:
    """Set or change when the session begins; None when it began then already. Raises NotThere, CannotMove,
    AccountCloses."""
    await require_staying(db)
    row = await _locked(db, session)
    now = await now_in(db)
    decision = may_move(SessionState(row.state), starts_at, now)
    if not decision:
        raise CannotMove(decision.reason)
    row.time_zone = time_zone
    if row.starts_at == starts_at:
        return None
    row.starts_at, row.moves = starts_at, row.moves + 1
    row.moved_at, row.reminded_at = now, None
    await db.flush()
    await record(db, account=row.account_id, actor=by, action=Action.SESSION_MOVED, subject=f"session:{session}")
    return row


async def cancel(db: Db, *, session: UUID, by: str) -> Session:
    """End a session before it began. Raises NotThere, CannotMove."""
    row = await _locked(db, session)
    if row.state != SessionState.SCHEDULED:
        raise CannotMove("This session has begun or ended already, so it is not cancelled any more.")
    return await end(db, session=session, by=by)


async def switch_reminder(db: Db, *, session: UUID, on: bool, by: str) -> None:
    """Safe to run twice. Raises NotThere."""
    row = await _locked(db, session)
    if row.reminding != on:
        row.reminding = on
        action, subject = Action.REMINDER_SWITCHED, f"session:{session}"
        await record(db, account=row.account_id, actor=by, action=action, subject=subject, facts={"on": on})


async def _locked(db: Db, session: UUID) -> Session:
    row = await db.get(Session, session, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotThere
    return row
