"""Rules of answering after a session: who may, until when, and what an answer says. Pure functions of values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.decisions import ALLOWED, Decision, refused
from app.sessions.models import SessionState
from app.sessions.policy import after_days

Value = str | int | tuple[str, ...]
"""Text; a number of a scale; options of a choice, as they were worded."""


@dataclass(frozen=True, kw_only=True)
class AnsweringFacts:
    """What decides whether a participant may answer now. inside: their room page is open; admitted: they were
    let in once; erased: what they left in this session is being or has been erased."""

    state: SessionState
    registered: bool
    admitted: bool
    inside: bool
    erased: bool
    keep_until: datetime | None


def may_answer(facts: AnsweringFacts, now: datetime) -> Decision:
    """Those who took part, once it is over for them, as long as answers are kept."""
    if facts.erased:
        return refused("What you left in this session has been erased, so nothing more is stored about it.")
    if not facts.registered or not facts.admitted:
        return refused("These questions are for people who took part in the session.")
    if facts.state is SessionState.SCHEDULED:
        return refused("The session has not begun yet. The questions come after it.")
    if facts.state is SessionState.LIVE and facts.inside:
        return refused("You are still in the session. The questions come when it has ended or you have left it.")
    if facts.keep_until is not None and now >= facts.keep_until:
        return refused("The time for answers is over: answers to this session are no longer kept.")
    return ALLOWED


@dataclass(frozen=True, kw_only=True)
class ResponseFacts:
    """What decides whether answers may be read and when they go: they follow the recordings of their session.
    held: a hold keeps a recording of the same person and session, until held_until; None: until it is lifted.
    restricted: the participant asked that what is kept of this session is not used. idle_until: the date that counts
    from their last activity."""

    answered_at: datetime
    session_ended_at: datetime | None
    hidden_at: datetime | None
    erased_at: datetime | None
    held: bool = False
    held_until: datetime | None = None
    restricted: bool = False
    idle_until: datetime | None = None


def answers_until(facts: ResponseFacts, retention_days: int | None) -> datetime | None:
    """The end of retention, as for recordings; None: until someone asks."""
    return after_days(facts.session_ended_at or facts.answered_at, retention_days, facts.idle_until)


def answers_due(facts: ResponseFacts, retention_days: int | None) -> datetime | None:
    """When they are erased by themselves: the end of retention, or of a hold that lasts longer. None: not so."""
    until = answers_until(facts, retention_days)
    if until is None or facts.erased_at is not None or facts.restricted:
        return None
    if facts.held:
        return max(until, facts.held_until) if facts.held_until else None
    return until


def answers_readable(facts: ResponseFacts, retention_days: int | None, now: datetime) -> Decision:
    """May members read them now? What is past its date is unread at once, swept or not, held or not."""
    until = answers_until(facts, retention_days)
    if facts.erased_at is not None:
        return refused("These answers have been erased.")
    if facts.hidden_at is not None or (until is not None and now >= until):
        return refused("These answers are being erased.")
    if facts.restricted:
        return refused("These answers are kept and not shown: the participant asked for that.")
    return ALLOWED


def to_json(value: Value) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def from_json(text: str) -> Value:
    read: str | int | list[str] = json.loads(text)
    return tuple(read) if isinstance(read, list) else read


def in_words(value: Value | None) -> str:
    """As people read it; options one a line. "" when there is no answer."""
    if value is None:
        return ""
    return "\n".join(value) if isinstance(value, tuple) else str(value)


def chosen(options: Sequence[str], value: Value | None) -> list[int]:
    """Places of the chosen options, for a form."""
    picked = value if isinstance(value, tuple) else ()
    return [place for place, option in enumerate(options) if option in picked]
