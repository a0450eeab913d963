"""Rules of registering, consenting and the code that opens stored data: pure functions of values and `now`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.decisions import ALLOWED, Decision, refused
from app.studies.models import ConsentKind

CODE_TRIES = 5
CODES_PER_HOUR = 5
CODE_WINDOW = timedelta(hours=1)


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
