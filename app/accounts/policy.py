"""Rules of members and of signing in: pure functions of values and `now`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.accounts.models import Role
from app.decisions import ALLOWED, Decision, refused

LINKS_AT_ONCE = 3
"""Links of one member that may be valid at the same time: more would let a stranger fill the mailbox."""


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


def may_stop_being(role: Role, owners: int) -> Decision:
    """May a member of this role be removed, or get another one? owners: how many the account has."""
    if role is Role.OWNER and owners <= 1:
        return refused("This is the only owner. An account always has one; make somebody else an owner first.")
    return ALLOWED


def safe_next(path: str) -> str:
    """A path on this site to go on to; anything else becomes the start page (no open redirect)."""
    if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable():
        return path
    return "/"
