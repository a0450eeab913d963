"""Which member saw names, addresses or words of participants on a page: written with the page, so that what cannot be
logged is not shown. What is played, downloaded or reviewed has actions of its own."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from app.accounts.login import SignedIn
from app.audit import Action, record
from app.database import Db

SAME_READING = timedelta(minutes=10)
"""Within this time the same thing is shown to one signed-in browser once."""


class Listed(StrEnum):
    """Lists over the whole account, as subjects: whoever stands on one may have been seen."""

    REQUESTS = "list:requests"
    ERASURES = "list:erasures"
    DISCLOSURES = "list:disclosures"
    HOLDS = "list:holds"
    AUDIT = "list:audit"


async def note_shown(db: Db, reader: SignedIn, subject: str) -> None:
    """subject: the session, participant, recording or request that the page is about, or one of Listed. One look at
    the log, however many people the page names."""
    await record(
        db,
        account=reader.account,
        actor=reader.actor,
        action=Action.DATA_SHOWN,
        subject=str(subject),
        facts={"login": reader.login_id},
        once_within=SAME_READING,
    )
