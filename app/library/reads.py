"""Who read what: written before the first byte flows, so that what cannot be logged is not shown."""

from __future__ import annotations

from datetime import timedelta

from app.accounts.login import SignedIn
from app.audit import Action, record
from app.database import Db
from app.sessions.purposes import DownloadPurpose

SAME_READING = timedelta(minutes=10)
"""A player asks for one film in many ranges: within this time they are one reading of one signed-in browser."""


async def note_read(
    db: Db, reader: SignedIn, action: Action, subject: str, purpose: DownloadPurpose | None = None
) -> None:
    """purpose: of a copy. Counts once this transaction is committed; the caller commits before it sends anything."""
    await record(
        db,
        account=reader.account,
        actor=reader.actor,
        action=action,
        subject=subject,
        facts={"login": reader.login_id} | ({"purpose": str(purpose)} if purpose else {}),
        once_within=SAME_READING,
    )
