"""Rules of an invitation: pure functions of values and `now`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.decisions import ALLOWED, Decision, refused
from app.sessions.models import SessionState

LIFE = timedelta(days=30)
"""After the planned start, or after inviting when no time is set."""


@dataclass(frozen=True, kw_only=True)
class InviteFacts:
    """What decides whether somebody can be invited to a session."""

    state: SessionState
    group: bool
    others_invited: int
    already_invited: bool
    suppressed: bool
    study_closed: bool = False


def may_invite(facts: InviteFacts) -> Decision:
    if facts.state is SessionState.ENDED:
        return refused("This session has ended; nobody can be invited to it any more.")
    if facts.study_closed:
        return refused("This study is closed; nobody can be invited any more.")
    if facts.already_invited:
        return refused("This person is invited to this session already.")
    if facts.suppressed:
        return refused("This person has unsubscribed from your invitations, so we do not write to them.")
    if facts.others_invited and not facts.group:
        return refused(
            "This session has its one participant. Withdraw the invitation first, or schedule a group session."
        )
    return ALLOWED


@dataclass(frozen=True, kw_only=True)
class LinkFacts:
    """What decides whether an invitation's link opens its page."""

    expires_at: datetime
    revoked: bool
    erased: bool


def may_open(facts: LinkFacts, now: datetime) -> Decision:
    """May the link open the invitation? An expired or withdrawn one still leads to *my data* (`may_open_data`)."""
    opens = may_open_data(facts)
    if not opens:
        return opens
    if facts.revoked:
        return refused("This invitation was withdrawn. Please ask the person who invited you.")
    if now >= facts.expires_at:
        return refused("This invitation has expired. Please ask the person who invited you for a new one.")
    return ALLOWED


def may_open_data(facts: LinkFacts) -> Decision:
    """May the link lead to what is held about the person? As long as something can be."""
    if facts.erased:
        return refused("Everything about you has been erased, so this link no longer works.")
    return ALLOWED


def expires_at(starts_at: datetime | None, now: datetime) -> datetime:
    """When an invitation written now ends."""
    return max(starts_at or now, now) + LIFE
