"""Rules of closing an account: who may, when, what has to be settled before, and what no longer begins once it is
announced. What it does stands in app.privacy.keeping."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import select

from app.accounts.models import Account
from app.accounts.policy import FRESH
from app.database import Db
from app.decisions import ALLOWED, Decision, refused
from app.errors import Conflict

GRACE = timedelta(days=14)
"""Between the announcement and the day: enough for everybody who owns the account to hear of it and to object."""


class AccountCloses(Conflict):
    """This account is about to be closed: nobody new is invited, and nothing new is scheduled, opened or recorded. An
    owner can keep the account."""


@dataclass(frozen=True, kw_only=True)
class ClosingFacts:
    """signed_in_at: the owner who wants it; unanswered: requests of participants that stand, restrictions among them;
    endless_holds: recordings held without a review date."""

    signed_in_at: datetime
    unanswered: int
    endless_holds: int


def is_fresh(signed_in_at: datetime, now: datetime) -> bool:
    """Did they show lately that it is them? A login that was left open must not end an account, nor keep one."""
    return now - signed_in_at <= FRESH


def closing_day(now: datetime) -> datetime:
    """The first midnight (UTC) after the days of grace."""
    last = (now + GRACE).astimezone(UTC)
    midnight = datetime.combine(last.date(), time(), UTC)
    return midnight if midnight == last else midnight + timedelta(days=1)


def may_announce(signed_in_at: datetime, now: datetime) -> Decision:
    """May this owner announce that the account closes, or take that back?"""
    if not is_fresh(signed_in_at, now):
        return refused("To close or keep the account, please sign in again first; this shows that it is you.")
    return ALLOWED


def may_close(facts: ClosingFacts, now: datetime) -> Decision:
    """May this owner close the account today? As settled(), and freshly proven."""
    return may_announce(facts.signed_in_at, now) and settled(facts)


def settled(facts: ClosingFacts) -> Decision:
    """Does anything stand against closing? Whoever asked for a copy gets it first (GDPR Art. 15), and what somebody
    asked to keep is not erased beneath them (GDPR Art. 18(2)); a hold without a date would never end, as nobody could
    lift it any more."""
    if facts.unanswered:
        return refused("Participants wait for an answer, or asked to keep what you hold. Settle their requests first.")
    if facts.endless_holds:
        return refused("A hold without a review date would never end. Give it a date, or lift it, first.")
    return ALLOWED


def is_name(typed: str, name: str) -> bool:
    """Did they type the account's name? Spaces may differ, letters may not."""
    return typed.split() == name.split()


async def require_staying(db: Db) -> None:
    """Raises AccountCloses once its closing is announced."""
    if await db.scalar(select(Account.closes_at)) is not None:
        raise AccountCloses
