"""Rules of support access: pure functions of values and `now`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.decisions import ALLOWED, Decision, refused

MINUTES = (15, 30, 60)
"""What can be granted; nothing is longer than an hour."""
ANSWER_WITHIN = timedelta(days=7)
"""A request nobody answered is asked anew, so that no old one is granted by mistake."""
WAITING_AT_MOST = 5
"""Requests of one operator that may wait in one account: more would only fill the owners' mailboxes."""


class Standing(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    LAPSED = "lapsed"
    REFUSED = "refused"
    OPEN = "open"
    REVOKED = "revoked"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class RequestFacts:
    """What decides about a request. ends_at: of the grant; None with an answer: refused."""

    asked_by: str
    asked_at: datetime
    answered_at: datetime | None = None
    ends_at: datetime | None = None
    revoked_at: datetime | None = None


def standing(facts: RequestFacts, now: datetime) -> Standing:
    """Of a request at this moment."""
    if facts.answered_at is None:
        return Standing.WAITING if now < facts.asked_at + ANSWER_WITHIN else Standing.LAPSED
    if facts.ends_at is None:
        return Standing.REFUSED
    if facts.revoked_at is not None:
        return Standing.REVOKED
    return Standing.OPEN if now < facts.ends_at else Standing.ENDED


def may_ask(waiting: int) -> Decision:
    """waiting: of this operator in this account."""
    if waiting >= WAITING_AT_MOST:
        return refused("Several of your requests wait in this account already. Please wait for an answer.")
    return ALLOWED


def may_answer(facts: RequestFacts, now: datetime, *, by: str, second_operator: bool) -> Decision:
    """May `by` grant or refuse it? second_operator: whether the owner lets another operator do it."""
    if by == facts.asked_by:
        return refused("You asked for this yourself, so somebody else has to answer.")
    if by.startswith("operator:") and not second_operator:
        return refused("The owner of this account answers requests alone.")
    match standing(facts, now):
        case Standing.WAITING:
            return ALLOWED
        case Standing.LAPSED:
            return refused("This request is too old to be granted. It has to be asked for anew.")
        case _:
            return refused("This request was answered already.")


def grant_end(now: datetime, minutes: int) -> datetime:
    """Raises ValueError for anything that is not offered."""
    if minutes not in MINUTES:
        raise ValueError("not a time that can be granted")
    return now + timedelta(minutes=minutes)


def may_revoke(facts: RequestFacts, now: datetime) -> Decision:
    """May a grant be ended now?"""
    return ALLOWED if standing(facts, now) is Standing.OPEN else refused("This access is over already.")
