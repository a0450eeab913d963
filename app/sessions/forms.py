"""Validated input of a session and of a note."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from app.forms import Form


@dataclass(frozen=True, kw_only=True)
class SessionInput:
    title: str
    starts_at: datetime | None
    time_zone: str
    group: bool


NOTE_LENGTH = 2000
LONGEST_WRITING_MS = 600_000
LAST_YEAR = 9990
"""Of a session: what lasts for a while after it still ends on a day that can be written."""


@dataclass(frozen=True, kw_only=True)
class NoteInput:
    """writing: how long ago it was begun."""

    text: str
    writing: timedelta


def read_note(form: Form) -> NoteInput | None:
    """None when something does not fit; the form then says what. Without a script there is no `writing_ms`."""
    text = form.text("text", length=NOTE_LENGTH)
    writing_ms = 0
    if form.values.get("writing_ms"):
        writing_ms = form.number("writing_ms", at_least=0, at_most=LONGEST_WRITING_MS)
    return NoteInput(text=text, writing=timedelta(milliseconds=writing_ms)) if form.fine else None


@lru_cache
def time_zones() -> tuple[str, ...]:
    """Zones people live in, such as Europe/Berlin."""
    regions = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return (*sorted(zone for zone in available_timezones() if zone.startswith(regions)), "UTC")


def read_session(form: Form) -> SessionInput | None:
    """None when something does not fit; the form then says what."""
    zone = form.choice("time_zone", time_zones())
    starts_at = _moment(form, zone)
    read = SessionInput(title=form.line("title"), starts_at=starts_at, time_zone=zone, group=form.ticked("group"))
    return read if form.fine else None


@dataclass(frozen=True, kw_only=True)
class MomentInput:
    starts_at: datetime
    time_zone: str


def read_moment(form: Form) -> MomentInput | None:
    """None when something does not fit; the form then says what."""
    zone = form.choice("time_zone", time_zones())
    starts_at = _moment(form, zone)
    if starts_at is None:
        form.errors.setdefault("starts_at", "Please fill this in.")
    return MomentInput(starts_at=starts_at, time_zone=zone) if form.fine and starts_at is not None else None


def _moment(form: Form, zone: str) -> datetime | None:
    """The time on the clocks of `zone`; of the hour that comes twice when they are put back, the first. None: not
    filled in, or wrong."""
    text = form.values.get("starts_at", "").strip()
    if not text or "time_zone" in form.errors:
        return None
    try:
        typed = datetime.fromisoformat(text)
        if typed.tzinfo is not None or typed.year > LAST_YEAR:
            raise ValueError
        local = typed.replace(tzinfo=ZoneInfo(zone), fold=0)
        moment = local.astimezone(UTC)
        shown = moment.astimezone(local.tzinfo)
    except (ValueError, OverflowError, KeyError):
        form.errors["starts_at"] = "Please enter a date and time such as 2027-05-03T14:30."
        return None
    if shown.replace(tzinfo=None) != local.replace(tzinfo=None):
        form.errors["starts_at"] = "This time does not exist there: clocks are put forward on that day."
        return None
    return moment
