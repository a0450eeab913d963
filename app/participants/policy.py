"""Rules of registering, consenting and the code that opens stored data: pure functions of values and `now`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.decisions import ALLOWED, Decision, refused
from app.language import Language
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
    language: str = Language.EN


@dataclass(frozen=True, kw_only=True)
class CodeFacts:
    """What is known of the newest code that was mailed."""

    expires_at: datetime
    tries: int
    used: bool


def standing(log: Iterable[ConsentEntry]) -> frozenset[ConsentKind]:
    """The kinds whose last entry says given. No entry is no consent."""
    return frozenset(kind for kind, entry in _latest(log).items() if entry.given)


def current(log: Iterable[ConsentEntry], texts: Mapping[str, bytes]) -> frozenset[ConsentKind]:
    """The kinds that stand and were given to the text that stands now, in the language it was read in. Reading it
    in another language changes nothing; a changed text or fact ends it in all of them."""
    return frozenset(
        kind for kind, entry in _latest(log).items() if entry.given and texts.get(entry.language) == entry.text_hash
    )


def outdated(log: Iterable[ConsentEntry], texts: Mapping[str, bytes]) -> frozenset[ConsentKind]:
    """The kinds that stand but are asked again: they were given to a text that has changed since."""
    entries = list(log)
    return standing(entries) - current(entries, texts)


def _latest(log: Iterable[ConsentEntry]) -> dict[ConsentKind, ConsentEntry]:
    return {entry.kind: entry for entry in log}


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
