"""Rules of members and of signing in: pure functions of values and `now`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.accounts.models import Role, Way
from app.decisions import ALLOWED, Decision, refused

LINKS_AT_ONCE = 3
"""Links of one member that may be valid at the same time: more would let a stranger fill the mailbox."""


FRESH = timedelta(minutes=10)
"""How lately somebody has to have signed in to change how they sign in."""
PASSKEYS_AT_MOST = 20
"""Of one member: more devices than anybody signs in with."""


@dataclass(frozen=True, kw_only=True)
class LinkFacts:
    """What is known of a sign-in link."""

    expires_at: datetime
    used: bool
    member_removed: bool


def may_ask_link(still_valid: int) -> Decision:
    """May another link be mailed?"""
    if still_valid >= LINKS_AT_ONCE:
        return refused("Several links are on their way already.")
    return ALLOWED


def may_use_link(link: LinkFacts, now: datetime) -> Decision:
    """Does this link still sign in?"""
    if link.used:
        return refused("This link has been used.")
    if now >= link.expires_at:
        return refused("This link has expired.")
    if link.member_removed:
        return refused("This person is no longer a member.")
    return ALLOWED


def may_add_passkey(having: int) -> Decision:
    """May a member who has so many add one more?"""
    if having >= PASSKEYS_AT_MOST:
        return refused("You have as many passkeys as one person can have here. Please remove one first.")
    return ALLOWED


@dataclass(frozen=True, kw_only=True)
class ProofFacts:
    """What is known of whoever wants to change their passkeys. needs_passkey: the account asks for one, and this login
    came without."""

    signed_in_at: datetime
    needs_passkey: bool
    passkeys: int


def may_change_passkeys(facts: ProofFacts, now: datetime) -> Decision:
    """May this browser add or remove passkeys now? A login that was left open must not hand the account over, and a
    mailbox that was broken into must not stand in for a passkey that is there."""
    if facts.needs_passkey and facts.passkeys:
        return refused("Please sign in with your passkey first: your account asks for it.")
    if now - facts.signed_in_at > FRESH:
        return refused("To change how you sign in, please sign in again first; this shows that it is you.")
    return ALLOWED


def may_need_passkeys(way: Way | None) -> Decision:
    """May an owner who signed in this way ask everybody for a passkey? Not before they can come in themselves."""
    if way is not Way.PASSKEY:
        return refused("Please add a passkey of your own, or sign in with it, so that you cannot lock yourself out.")
    return ALLOWED


def may_stop_being(role: Role, owners: int) -> Decision:
    """May a member of this role be removed, or get another one? owners: how many the account has."""
    if role is Role.OWNER and owners <= 1:
        return refused("This is the only owner. An account always has one; make somebody else an owner first.")
    return ALLOWED


def gives_more(before: Role, after: Role) -> bool:
    """May somebody do more in a role than in the one before?"""
    order = (Role.OBSERVER, Role.RESEARCHER, Role.OWNER)
    return order.index(after) > order.index(before)


def sees_session(role: Role, *, assigned_only: bool, assigned: bool) -> bool:
    """Does a member see a session, and all that belongs to it? assigned_only: its study is seen by those assigned to a
    session alone; owners answer for all of it. seen_by in the database says the same of whoever is no owner."""
    return role is Role.OWNER or assigned or not assigned_only


def safe_next(path: str) -> str:
    """A path on this site to go on to; anything else becomes the start page (no open redirect)."""
    if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable():
        return path
    return "/"
