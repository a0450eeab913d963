"""Rules of a session's moment: when its participants are reminded of it, and whether it may still be moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from app.decisions import ALLOWED, Decision, refused
from app.sessions.models import Session, SessionState
from app.studies.models import Reminder


class Reminding(StrEnum):
    """Where the reminder of a session stands."""

    NO_MOMENT = "no moment"
    NONE = "none"  # the study sends none
    OFF = "off"  # switched off for this session
    PLANNED = "planned"
    SENT = "sent"
    TOLD = "told"  # the moment was set so late that the mail about it is the reminder
    OVER = "over"  # the session began or ended without one


@dataclass(frozen=True, kw_only=True)
class ReminderFacts:
    """What decides whether and when a session is reminded of. on: not switched off for this one."""

    state: SessionState
    starts_at: datetime | None
    time_zone: str
    reminder: Reminder
    on: bool
    moved_at: datetime | None
    reminded_at: datetime | None


def reminder_facts(row: Session, reminder: str) -> ReminderFacts:
    """reminder: as the session's study says."""
    return ReminderFacts(
        state=SessionState(row.state),
        starts_at=row.starts_at,
        time_zone=row.time_zone,
        reminder=Reminder(reminder),
        on=row.reminding,
        moved_at=row.moved_at,
        reminded_at=row.reminded_at,
    )


def reminds_at(starts_at: datetime, time_zone: str, reminder: Reminder) -> datetime | None:
    """An hour before, or at the same time of the day before where the session is: across a change of clocks that is
    23 or 25 hours. None: never."""
    match reminder:
        case Reminder.HOUR:
            return starts_at - timedelta(hours=1)
        case Reminder.DAY:
            return (starts_at.astimezone(ZoneInfo(time_zone)) - timedelta(days=1)).astimezone(UTC)
        case Reminder.NONE:
            return None


def reminding(facts: ReminderFacts, now: datetime) -> Reminding:
    if facts.reminded_at is not None:
        return Reminding.SENT
    if facts.state is not SessionState.SCHEDULED:
        return Reminding.OVER
    if facts.starts_at is None:
        return Reminding.NO_MOMENT
    if now >= facts.starts_at:
        return Reminding.OVER
    at = reminds_at(facts.starts_at, facts.time_zone, facts.reminder)
    if at is None:
        return Reminding.NONE
    if not facts.on:
        return Reminding.OFF
    return Reminding.TOLD if facts.moved_at is not None and facts.moved_at >= at else Reminding.PLANNED


@dataclass(frozen=True, kw_only=True)
class ReminderLine:
    """The reminder as the session's page shows it. at: when it goes out, or went."""

    standing: Reminding
    at: datetime | None


def reminder_line(row: Session, reminder: str, now: datetime) -> ReminderLine:
    """reminder: as the session's study says."""
    facts = reminder_facts(row, reminder)
    standing = reminding(facts, now)
    at = row.reminded_at
    if standing is Reminding.PLANNED and row.starts_at is not None:
        at = reminds_at(row.starts_at, row.time_zone, facts.reminder)
    return ReminderLine(standing=standing, at=at)


def is_due(facts: ReminderFacts, now: datetime) -> bool:
    """Does the reminder go out now? Late is better than never, as long as the session has not begun."""
    at = reminds_at(facts.starts_at, facts.time_zone, facts.reminder) if facts.starts_at else None
    return reminding(facts, now) is Reminding.PLANNED and at is not None and now >= at


def may_move(state: SessionState, starts_at: datetime, now: datetime) -> Decision:
    if state is SessionState.LIVE:
        return refused("The room is open already, so the session is not moved any more.")
    if state is SessionState.ENDED:
        return refused("This session has already ended.")
    return ALLOWED if starts_at > now else refused("Please choose a moment to come.")
