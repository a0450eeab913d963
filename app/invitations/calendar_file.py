"""The calendar file of a session (RFC 5545), as mails carry it and the session's page offers it.

It says nothing of what the session is about and nobody's name but the contact's: calendars are shared with colleagues
and families, and read on locked screens. It carries no link either; the invitation's is meant for one person alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

NAME = "session.ics"


@dataclass(frozen=True, kw_only=True)
class CalendarEvent:
    """uid stays over all versions; sequence is raised with each (§3.8.7.4). written_at: of this version."""

    uid: str
    sequence: int
    written_at: datetime
    starts_at: datetime
    cancelled: bool
    summary: str
    description: str
    contact_name: str
    contact_email: str


def calendar_file(event: CalendarEvent) -> str:
    """METHOD:PUBLISH with the organizer and without attendees (RFC 5546 §3.2.1), or CANCEL (§3.2.5). The moment stands
    in UTC: every calendar shows it in its owner's zone, across changes of clocks too."""
    from icalendar import Calendar, Event, vCalAddress  # slow to import, and rarely needed

    calendar, entry = Calendar(), Event()
    calendar.add("prodid", "-//Junier//Sessions//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if event.cancelled else "PUBLISH")
    organizer = vCalAddress(f"mailto:{event.contact_email}")
    organizer.params["CN"] = event.contact_name
    entry.add("uid", event.uid)
    entry.add("sequence", event.sequence)
    entry.add("dtstamp", event.written_at.astimezone(UTC).replace(microsecond=0))
    entry.add("dtstart", event.starts_at.astimezone(UTC))
    entry.add("status", "CANCELLED" if event.cancelled else "CONFIRMED")
    entry.add("class", "PRIVATE")
    entry.add("summary", event.summary)
    entry.add("description", event.description)
    entry.add("organizer", organizer)
    calendar.add_component(entry)
    text: bytes = calendar.to_ical()
    return text.decode()


def method_of(text: str) -> str:
    """The method that a file names, which its media type repeats (RFC 6047 §2.4)."""
    return "CANCEL" if "\r\nMETHOD:CANCEL\r\n" in text else "PUBLISH"


def media_type(text: str) -> str:
    """Without the charset, UTF-8, which whoever carries it adds."""
    return f"text/calendar; method={method_of(text)}"
