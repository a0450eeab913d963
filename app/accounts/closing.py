"""Rules of closing an account: who may, when, and what has to be settled before. What it does stands in
app.privacy.keeping.closing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.accounts.policy import FRESH
from app.decisions import ALLOWED, Decision, refused


@dataclass(frozen=True, kw_only=True)
class ClosingFacts:
    """signed_in_at: the owner who wants it; unanswered: requests of participants that stand, restrictions among them;
    endless_holds: recordings held without a review date."""

    signed_in_at: datetime
    unanswered: int
    endless_holds: int


def is_fresh(signed_in_at: datetime, now: datetime) -> bool:
    """Did they show lately that it is them? A login that was left open must not end an account."""
    return now - signed_in_at <= FRESH


def may_close(facts: ClosingFacts, now: datetime) -> Decision:
    """May this owner close the account now? Whoever asked for a copy gets it first (GDPR Art. 15), and what somebody
    asked to keep is not erased beneath them (GDPR Art. 18(2)); a hold without a date would never end, as nobody could
    lift it any more."""
    if not is_fresh(facts.signed_in_at, now):
        return refused("To close the account, please sign in again first; this shows that it is you.")
    if facts.unanswered:
        return refused("Participants wait for an answer, or asked to keep what you hold. Settle their requests first.")
    if facts.endless_holds:
        return refused("A hold without a review date would never end. Give it a date, or lift it, first.")
    return ALLOWED


def is_name(typed: str, name: str) -> bool:
    """Did they type the account's name? Spaces may differ, letters may not."""
    return typed.split() == name.split()
