"""Rules of a session's moment: when it is reminded of across changes of clocks, when it may be moved, who is told, and
what a calendar file says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from app.forms import Form
from app.invitations.calendar_file import CalendarEvent, calendar_file, media_type
from app.invitations.session_mail_policy import MailFacts, SessionMail, may_tell
from app.sessions.forms import read_moment
from app.sessions.models import SessionState
from app.sessions.reminder import ReminderFacts, Reminding, is_due, may_move, reminding, reminds_at
from app.studies.models import Reminder

STARTS = datetime(2027, 5, 3, 12, 30, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
FACTS = ReminderFacts(
    state=SessionState.SCHEDULED,
    starts_at=STARTS,
    time_zone="Europe/Berlin",
    reminder=Reminder.DAY,
    on=True,
    moved_at=None,
    reminded_at=None,
)
TOLD = MailFacts(
    accepted=True,
    revoked=False,
    erased=False,
    unwanted=False,
    took_back=False,
    state=SessionState.SCHEDULED,
    opened=False,
    starts_at=STARTS,
    reminding=True,
    closing=False,
)


@pytest.mark.parametrize(
    ("starts", "zone", "hours"),
    [
        ("2027-05-03T14:30", "Europe/Berlin", 24),
        ("2027-03-28T14:30", "Europe/Berlin", 23),  # clocks were put forward in the night
        ("2027-10-31T14:30", "Europe/Berlin", 25),
        ("2027-03-14T09:00", "America/New_York", 23),
        ("2027-10-03T09:00", "Australia/Lord_Howe", 23.5),
        ("2027-03-28T14:30", "Asia/Tokyo", 24),
    ],
)
def test_the_day_before_is_the_same_time_of_day(starts: str, zone: str, hours: float):
    local = datetime.fromisoformat(starts).replace(tzinfo=ZoneInfo(zone))
    at = reminds_at(local.astimezone(UTC), zone, Reminder.DAY)
    assert at is not None and local.astimezone(UTC) - at == timedelta(hours=hours)
    shown = at.astimezone(ZoneInfo(zone))
    assert (shown.hour, shown.minute) == (local.hour, local.minute)


def test_an_hour_before_and_never():
    assert reminds_at(STARTS, "Europe/Berlin", Reminder.HOUR) == STARTS - HOUR
    assert reminds_at(STARTS, "Europe/Berlin", Reminder.NONE) is None


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (STARTS - DAY - SECOND, False),
        (STARTS - DAY, True),
        (STARTS - SECOND, True),  # late is better than never
        (STARTS, False),
        (STARTS + DAY, False),
    ],
)
def test_a_reminder_is_due_until_the_session_begins(now: datetime, due: bool):
    assert is_due(FACTS, now) is due


@pytest.mark.parametrize(
    ("facts", "standing"),
    [
        (FACTS, Reminding.PLANNED),
        (replace(FACTS, starts_at=None), Reminding.NO_MOMENT),
        (replace(FACTS, reminder=Reminder.NONE), Reminding.NONE),
        (replace(FACTS, on=False), Reminding.OFF),
        (replace(FACTS, reminded_at=STARTS - DAY), Reminding.SENT),
        (replace(FACTS, moved_at=STARTS - DAY), Reminding.TOLD),
        (replace(FACTS, moved_at=STARTS - DAY - SECOND), Reminding.PLANNED),
        (replace(FACTS, state=SessionState.LIVE), Reminding.OVER),
        (replace(FACTS, state=SessionState.ENDED), Reminding.OVER),
    ],
)
def test_where_it_stands_and_that_only_a_planned_one_goes_out(facts: ReminderFacts, standing: Reminding):
    now = STARTS - HOUR
    assert reminding(facts, now) is standing
    assert is_due(facts, now) is (standing is Reminding.PLANNED)


def test_moved_while_it_is_to_come_and_to_a_moment_to_come():
    assert may_move(SessionState.SCHEDULED, STARTS, STARTS - SECOND)
    assert not may_move(SessionState.SCHEDULED, STARTS, STARTS)
    assert not may_move(SessionState.LIVE, STARTS, STARTS - DAY)
    assert not may_move(SessionState.ENDED, STARTS, STARTS - DAY)


CANCELLED = replace(TOLD, state=SessionState.ENDED)


@pytest.mark.parametrize("mail", SessionMail)
def test_who_is_told_and_who_is_not(mail: SessionMail):
    told = CANCELLED if mail is SessionMail.CANCELLED else TOLD
    now = STARTS - HOUR
    assert may_tell(mail, told, now) and may_tell(mail, told, STARTS - SECOND)
    assert not may_tell(mail, told, STARTS)
    for change in (
        {"accepted": False},
        {"revoked": True},
        {"erased": True},
        {"unwanted": True},
        {"took_back": True},
        {"starts_at": None},
        {"state": SessionState.LIVE},
    ):
        assert not may_tell(mail, replace(told, **change), now), change
    other = TOLD if mail is SessionMail.CANCELLED else CANCELLED
    assert not may_tell(mail, other, now)
    assert may_tell(mail, replace(told, reminding=False), now) is (mail is not SessionMail.REMINDER)
    assert may_tell(mail, replace(told, closing=True), now) is (mail is not SessionMail.REMINDER)
    assert may_tell(mail, replace(told, opened=True), now) is (mail is not SessionMail.CANCELLED)


@pytest.mark.parametrize(
    ("typed", "zone", "at"),
    [
        ("2027-05-03T14:30", "Europe/Berlin", STARTS),
        ("2027-05-03T14:30", "UTC", STARTS + 2 * HOUR),
        ("2027-10-31T02:30", "Europe/Berlin", datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),  # comes twice: the first
        ("2027-03-28T02:30", "Europe/Berlin", None),  # does not come at all
        ("2027-02-30T02:30", "Europe/Berlin", None),
        ("0001-01-01T00:00", "Asia/Tokyo", None),
        ("", "UTC", None),
        ("2027-05-03T14:30", "Mars/Base", None),
    ],
)
def test_a_typed_moment_is_what_the_clocks_there_show(typed: str, zone: str, at: datetime | None):
    form = Form(values={"starts_at": typed, "time_zone": zone})
    read = read_moment(form)
    assert (read.starts_at if read else None) == at
    assert form.fine is (at is not None)


def test_a_calendar_file_keeps_every_word_in_its_place():
    """Whatever stands in a name: lines are folded at 75 octets and nothing of it becomes a line of its own."""
    name = 'Zoë "Z"; O\'Hara, Łódź: ' + "ü" * 80
    event = CalendarEvent(
        uid="0b6f",
        sequence=3,
        written_at=datetime(2027, 5, 1, 8, 0, 0, 5, tzinfo=UTC),
        starts_at=STARTS.astimezone(ZoneInfo("Europe/Berlin")),
        cancelled=True,
        summary=f"Session with {name}\r\nATTENDEE:mailto:x@y.example",
        description="One line,\nand; another\\.",
        contact_name=name,
        contact_email="olga@lab.example",
    )
    text = calendar_file(event)
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\r\nDTSTART:20270503T123000Z\r\n" in text and "\r\nDTSTAMP:20270501T080000Z\r\n" in text
    [read] = Calendar.from_ical(text).walk("VEVENT")
    assert "ATTENDEE" not in read and read["DESCRIPTION"] == event.description
    assert read["SUMMARY"].startswith(f"Session with {name}") and "ATTENDEE" in read["SUMMARY"]
    assert (read["SEQUENCE"], read["STATUS"], read["CLASS"]) == (3, "CANCELLED", "PRIVATE")
    assert media_type(text) == "text/calendar; method=CANCEL"
    assert media_type(calendar_file(replace(event, cancelled=False))).endswith("method=PUBLISH")
