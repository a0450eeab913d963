"""Validated input of a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from app.forms import Form


@dataclass(frozen=True, kw_only=True)
class SessionInput:
    title: str
    starts_at: datetime | None
    time_zone: str
    group: bool


@lru_cache
def time_zones() -> tuple[str, ...]:
    """Zones people live in, such as Europe/Berlin."""
    regions = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return (*sorted(zone for zone in available_timezones() if zone.startswith(regions)), "UTC")


def read_session(form: Form) -> SessionInput | None:
    """None when something does not fit; the form then says what."""
    zone = form.choice("time_zone", time_zones())
    starts_at = None
    if text := form.values.get("starts_at", "").strip():
        try:
            starts_at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        except (ValueError, OverflowError, KeyError):
            form.errors["starts_at"] = "Please enter a date and time such as 2027-05-03T14:30."
    read = SessionInput(title=form.line("title"), starts_at=starts_at, time_zone=zone, group=form.ticked("group"))
    return read if form.fine else None
