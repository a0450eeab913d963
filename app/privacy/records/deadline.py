"""The day by which a request is answered: one month after it came in (GDPR Art. 12(3)), counted as
Regulation (EEC, Euratom) No 1182/71 Art. 3 counts.

The day it came in begins the month; the month ends with the day of the same number, or with the last day of a
shorter month (Art. 3(2)(c)); from a Saturday or Sunday it moves to the next working day (Art. 3(4)). Public holidays
differ from state to state and would only move the day further, so they are left out: the day named here is never
too late. EDPB Guidelines 01/2022 §§ 159-161 count the same way.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta

SATURDAY = 5
EXTENDED_MONTHS = 3
"""One, and two further where it is complex (GDPR Art. 12(3))."""


def answer_by(asked_at: datetime, months: int = 1) -> date:
    """The last day for an answer. In UTC: east of Greenwich that is never later than the local day."""
    came = asked_at.astimezone(UTC).date()
    year, month = divmod(came.year * 12 + came.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return _working_day(date(year, month + 1, min(came.day, last)))


def days_left(due_on: date, now: datetime) -> int:
    """Whole days until the last one; 0: today, negative: late."""
    return (due_on - now.astimezone(UTC).date()).days


def _working_day(day: date) -> date:
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= SATURDAY else day
