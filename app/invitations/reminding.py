"""Reminders of sessions: whatever is due goes out, once; asked every minute."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from app.database import Db
from app.invitations.session_mail_policy import SessionMail
from app.invitations.session_mails import tell_participants
from app.logs import place_of
from app.sessions.models import Session
from app.sessions.reminder import is_due, reminder_facts
from app.studies.models import Study
from app.wiring import Wiring
from recordings.model import AccountId

log = logging.getLogger("junier.invitations")

AT_ONCE = 500


async def remind_due(wiring: Wiring, now: datetime) -> int:
    """Write the reminders that are due at `now`; how many. Of two at once one writes, and what one that dies had not
    committed the next one writes. Raises ExceptionGroup when a session's could not be written, after all others."""
    values = {"now": now, "limit": AT_ONCE}
    async with wiring.database.transaction() as db:
        found = (await db.execute(text("SELECT * FROM sessions_to_remind(:now, :limit)"), values)).all()
    written, troubles = 0, list[Exception]()
    for account, session in found:
        try:
            async with wiring.database.transaction(AccountId(account)) as db:
                written += await _remind(db, wiring, session, now)
        except Exception as trouble:
            log.error("a session's reminder was not written: %s at %s", type(trouble).__name__, place_of(trouble))
            troubles.append(trouble)
    if troubles:
        raise ExceptionGroup("Some reminders could not be written", troubles)
    return written


async def _remind(db: Db, wiring: Wiring, session: UUID, now: datetime) -> int:
    """Marks the session in the same transaction that writes the mails."""
    row = await db.get(Session, session, with_for_update={"skip_locked": True}, populate_existing=True)
    if row is None:
        return 0
    study = await db.get_one(Study, row.study_id)
    if not is_due(reminder_facts(row, study.reminder), now):
        return 0
    row.reminded_at = now
    return await tell_participants(db, wiring, session=session, mail=SessionMail.REMINDER)
