"""One month by Regulation 1182/71: the day of the same number, the last of a shorter month, never a weekend."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from app.privacy.records.deadline import answer_by, days_left


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2027-03-05", "2027-04-05"),  # the example of EDPB 01/2022 § 160, on a Monday
        ("2027-08-31", "2027-09-30"),  # § 161: no 31 September
        ("2027-01-31", "2027-03-01"),  # 28 February is a Sunday
        ("2028-01-31", "2028-02-29"),  # leap year
        ("2027-12-31", "2028-01-31"),
        ("2026-11-22", "2026-12-22"),
        ("2027-01-02", "2027-02-02"),
        ("2027-01-06", "2027-02-08"),  # Saturday, to Monday
        ("2027-01-07", "2027-02-08"),  # Sunday, to Monday
        ("2027-04-30", "2027-05-31"),  # 30 May is a Sunday
    ],
)
def test_the_last_day_for_an_answer(asked: str, due: str) -> None:
    for hour in (0, 12, 23):
        assert answer_by(datetime.fromisoformat(f"{asked}T{hour:02d}:59:00+00:00")) == date.fromisoformat(due)


def test_every_day_of_five_years() -> None:
    """A month is 28 to 31 days, moved by at most two; never a weekend; never earlier for a later request."""
    day, before = datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1)
    for _ in range(5 * 366):
        due = answer_by(day)
        length = (due - day.date()).days
        assert 28 <= length <= 33 and due.weekday() < 5 and due >= before
        month = day.month % 12 + 1
        assert due.month == month or (due.month == month % 12 + 1 and due.day <= 2)
        day, before = day + timedelta(days=1), due


def test_two_months_more_and_other_zones() -> None:
    asked = datetime(2027, 1, 31, 23, 30, tzinfo=timezone(-timedelta(hours=1)))  # 0:30 of 1 February in UTC
    assert answer_by(asked) == date(2027, 3, 1)
    assert answer_by(datetime(2027, 1, 31, tzinfo=UTC), months=3) == date(2027, 4, 30)


def test_days_left_count_whole_days() -> None:
    due = date(2027, 4, 5)
    assert days_left(due, datetime(2027, 4, 5, 23, 59, tzinfo=UTC)) == 0
    assert days_left(due, datetime(2027, 4, 4, 0, 0, tzinfo=UTC)) == 1
    assert days_left(due, datetime(2027, 4, 6, 0, 0, tzinfo=UTC)) == -1
