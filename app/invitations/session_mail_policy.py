"""Who gets which mail about the session they accepted: a pure rule, asked when it is written and when it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.sessions.models import SessionState


class SessionMail(StrEnum):
    CONFIRMED = "confirmed"  # they registered for it
    REMINDER = "reminder"
    MOVED = "moved"
    CANCELLED = "cancelled"  # it was ended before it began


@dataclass(frozen=True, kw_only=True)
class MailFacts:
    """What decides whether a participant gets a mail about a session. unwanted: they want none about their sessions;
    took_back: they agreed to something and have taken all of it back; opened: the room was; closing: so is the account.
    """

    accepted: bool
    revoked: bool
    erased: bool
    unwanted: bool
    took_back: bool
    state: SessionState
    opened: bool
    starts_at: datetime | None
    reminding: bool
    closing: bool


def may_tell(mail: SessionMail, facts: MailFacts, now: datetime) -> bool:
    """Unsubscribing from invitations plays no part: this one was accepted. Nothing is told once the moment has come."""
    takes_part = facts.accepted and not (facts.revoked or facts.erased or facts.unwanted or facts.took_back)
    if not takes_part or facts.starts_at is None or now >= facts.starts_at:
        return False
    if mail is SessionMail.CANCELLED:
        return facts.state is SessionState.ENDED and not facts.opened
    if mail is SessionMail.REMINDER and (not facts.reminding or facts.closing):
        return False
    return facts.state is SessionState.SCHEDULED
