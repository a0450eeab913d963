"""Rules of an unanswered request: who hears of it when, and when more time may be taken."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.privacy.records.deadline import EXTENDED_MONTHS, answer_by
from app.privacy.records.models import RequestKind, RequestState
from app.privacy.rights.extending import may_extend
from app.privacy.rights.silence import Step, schedule, step_now

DAY = timedelta(days=1)
ASKED = datetime(2026, 11, 3, 9, tzinfo=UTC)


def told(asked_at: datetime, *, extended: bool, until: int = 130) -> dict[int, Step]:
    """Days after the asking -> step, when somebody looks every day."""
    asked_on, due_on = asked_at.date(), answer_by(asked_at, EXTENDED_MONTHS if extended else 1)
    steps = schedule(asked_on, due_on, extended=extended)
    found = {}
    for day in range(1, until):
        step = step_now(steps, asked_on + (day - 1) * DAY, asked_on + day * DAY)
        if step is not None:
            found[day] = step
    return found


def test_owners_are_reminded_four_times_and_the_platform_hears_before_and_after_the_last_day():
    assert told(ASKED, extended=False) == {
        7: Step.REMIND, 14: Step.REMIND, 21: Step.REMIND, 25: Step.REMIND, 28: Step.ESCALATE, 31: Step.LATE,
    }  # fmt: skip
    assert answer_by(ASKED) == ASKED.date() + 30 * DAY


@given(st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)), st.booleans())
def test_whatever_the_day_the_platform_hears_before_the_last_one_is_over(asked_at: datetime, extended: bool):
    due = (answer_by(asked_at, EXTENDED_MONTHS if extended else 1) - asked_at.date()).days
    found = told(asked_at, extended=extended)
    [escalated] = [day for day, step in found.items() if step is Step.ESCALATE]
    [late] = [day for day, step in found.items() if step is Step.LATE]
    assert escalated <= due < late == due + 1
    assert list(found.values()).count(Step.REMIND) == 4
    assert all(day < escalated for day, step in found.items() if step is Step.REMIND)


def test_what_was_missed_is_told_once_by_the_newest():
    steps = schedule(date(2026, 11, 3), date(2026, 12, 3), extended=False)
    assert step_now(steps, date(2026, 11, 3), date(2026, 11, 30)) is Step.REMIND
    assert step_now(steps, date(2026, 11, 3), date(2027, 1, 30)) is Step.LATE
    assert step_now(steps, date(2027, 1, 30), date(2027, 1, 30)) is None
    assert step_now(steps, date(2026, 11, 12), date(2026, 11, 3)) is None  # a clock that jumps back


@pytest.mark.parametrize(
    ("kind", "state", "extended", "today", "allowed"),
    [
        (RequestKind.ACCESS, RequestState.OPEN, False, date(2026, 12, 3), True),
        (RequestKind.ACCESS, RequestState.OPEN, False, date(2026, 12, 4), False),  # the month is over
        (RequestKind.ACCESS, RequestState.OPEN, True, date(2026, 12, 1), False),  # once
        (RequestKind.ACCESS, RequestState.DONE, False, date(2026, 12, 1), False),
        (RequestKind.RESTRICTION, RequestState.IN_FORCE, False, date(2026, 12, 1), False),
        (RequestKind.ERASURE, RequestState.OPEN, False, date(2026, 12, 1), False),  # runs by itself
    ],
)
def test_more_time_is_taken_once_and_within_the_month(
    kind: RequestKind, state: RequestState, extended: bool, today: date, allowed: bool
):
    before = ASKED if extended else None
    assert bool(may_extend(kind, state, extended_at=before, due_on=date(2026, 12, 3), today=today)) is allowed
