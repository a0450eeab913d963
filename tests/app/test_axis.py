"""Lifelines of the retention overview: one axis for all, today on it, and every line in words as well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.privacy.keeping.axis import WIDTH, Span, axis_over

NOW = datetime(2027, 5, 3, 12, tzinfo=UTC)


def span(since: int, first: int | None, last: int | None = None) -> Span:
    """Days from now."""
    moments = [None if days is None else NOW + timedelta(days=days) for days in (since, first, last)]
    assert moments[0] is not None
    return Span(since=moments[0], first_end=moments[1], last_end=moments[2])


def test_one_axis_holds_every_line_and_today() -> None:
    lines = [span(-30, 20, 20), span(-5, 175, 180), span(-100, None)]
    axis = axis_over(lines, NOW)
    assert axis.x(lines[2].since) == 0 and 0 < axis.today < WIDTH
    ends = [axis.x(line.first_end) for line in lines if line.first_end]
    assert axis.today < ends[0] < ends[1] < WIDTH


def test_what_is_past_its_date_ends_before_today() -> None:
    line = span(-30, -1, -1)
    axis = axis_over([line], NOW)
    assert line.first_end and axis.x(line.first_end) < axis.today < WIDTH


@pytest.mark.parametrize("lines", [[], [span(0, 0, 0)], [span(0, None)]])
def test_an_axis_without_length_still_has_today(lines: list[Span]) -> None:
    axis = axis_over(lines, NOW)
    assert axis.first == NOW and axis.today == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (span(-30, 30, 30), "Since 3 April 2027, erased 2 June 2027"),
        (span(-30, 30, 31), "Since 3 April 2027, erased from 2 June 2027 to 3 June 2027"),
        (span(-30, 30), "Since 3 April 2027, erased from 2 June 2027 on, a part has no date"),
        (span(-30, None), "Since 3 April 2027, kept until somebody asks"),
    ],
)
def test_every_line_stands_in_words_too(line: Span, words: str) -> None:
    assert axis_over([line], NOW).drawn(line).words == words
