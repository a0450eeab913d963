"""Rules of registering, consenting and the code that opens stored data: pure functions of values and `now`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.decisions import ALLOWED, Decision, refused
from app.studies.models import ConsentKind

CODE_TRIES = 5
CODES_PER_HOUR = 5
CODE_WINDOW = timedelta(hours=1)
NAME_LENGTH = 100
EMAIL_LENGTH = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets
_EMAIL = re.compile(r"[^\s@<>\"',;:\\]{1,64}@[^\s@<>\"',;:\\.]+(?:\.[^\s@<>\"',;:\\.]+)*")


@dataclass(frozen=True, kw_only=True)
class ConsentEntry:
    """One line of the consent log, oldest first."""

    kind: ConsentKind
    given: bool
    text_hash: bytes


@dataclass(frozen=True, kw_only=True)
class CodeFacts:
    """What is known of the newest code that was mailed."""

    expires_at: datetime
    tries: int
    used: bool


def current(log: Iterable[ConsentEntry]) -> frozenset[ConsentKind]:
    """The kinds whose last entry says given. No entry is no consent."""
    latest = {entry.kind: entry.given for entry in log}
    return frozenset(kind for kind, given in latest.items() if given)


def text_changed(log: Iterable[ConsentEntry], shown_hash: bytes) -> bool:
    """True when a consent stands that was given to another text or notice than the one shown now."""
    latest = {entry.kind: entry for entry in log}
    return any(entry.given and entry.text_hash != shown_hash for entry in latest.values())


def may_try_code(code: CodeFacts | None, now: datetime) -> Decision:
    """May a typed code be compared with this one at all?"""
    if code is None or code.used or now >= code.expires_at:
        return refused("This code is no longer valid. Please ask for a new one.")
    if code.tries >= CODE_TRIES:
        return refused("Too many wrong tries. Please ask for a new code.")
    return ALLOWED


def may_ask_code(asked_within_the_hour: int) -> Decision:
    """Five codes an hour: enough for a person, too few to fill a mailbox or to guess by asking again."""
    if asked_within_the_hour >= CODES_PER_HOUR:
        return refused("You asked for several codes already. Please wait an hour and try again.")
    return ALLOWED


def name_problem(name: str) -> str | None:
    """What is wrong with a name, in plain words; None when it fits."""
    if not name:
        return "Please tell us your first name."
    if len(name) > NAME_LENGTH:
        return f"Please use at most {NAME_LENGTH} characters."
    if _unprintable(name):
        return "This name holds characters that cannot be shown. Please type it again."
    return None


def email_problem(email: str) -> str | None:
    """What is wrong with an address, in plain words; None when it fits."""
    if not email:
        return "Please tell us your e-mail address."
    if len(email) > EMAIL_LENGTH or _unprintable(email) or not _EMAIL.fullmatch(email):
        return "This does not look like an e-mail address, for example anna@example.org."
    return None


def _unprintable(text: str) -> bool:
    """Line breaks and control characters (mail headers) and bidirectional overrides (misleading display)."""
    return any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u061c\u200e\u200f\u2028\u2029" for c in text) or any(
        "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" or "\ud800" <= c <= "\udfff" for c in text
    )
