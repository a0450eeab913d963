"""Many lifelines under one another: one axis of time for all of them, with today on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.language import _

WIDTH = 1000  # of the drawing
LEAST = timedelta(days=1)  # of an axis, so that today has a place on it
MARGIN = 0.03  # beyond the last date, so that an end is seen as one


@dataclass(frozen=True, kw_only=True)
class Span:
    """since: the first moment anything was there; ends: the first and the last erasure, None: nobody has set one."""

    since: datetime
    first_end: datetime | None
    last_end: datetime | None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A span to the day and on its axis: many lines of a page are alike. last_x: only where the ends differ."""

    since: date
    first_end: date | None
    last_end: date | None
    since_x: int
    end_x: int
    last_x: int | None

    @property
    def words(self) -> str:
        """The line as text. Members read English; these dates are written for every row, so not by babel."""
        since = _day(self.since)
        if self.first_end is None:
            return _("Since %(since)s, kept until somebody asks", since=since)
        if self.last_end is None:
            return _(
                "Since %(since)s, erased from %(end)s on, a part has no date", since=since, end=_day(self.first_end)
            )
        if self.last_end == self.first_end:
            return _("Since %(since)s, erased %(end)s", since=since, end=_day(self.first_end))
        ends = {"first": _day(self.first_end), "last": _day(self.last_end)}
        return _("Since %(since)s, erased from %(first)s to %(last)s", since=since, **ends)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """first..last is drawn over WIDTH."""

    first: datetime
    last: datetime
    now: datetime

    @property
    def today(self) -> int:
        return self.x(self.now)

    def x(self, at: datetime) -> int:
        share = (at - self.first) / (self.last - self.first)
        return round(min(max(share, 0.0), 1.0) * WIDTH)

    def drawn(self, span: Span) -> Drawn:
        first, last = span.first_end, span.last_end
        return Drawn(
            since=_on(span.since),
            first_end=_on(first) if first else None,
            last_end=_on(last) if last else None,
            since_x=self.x(span.since),
            end_x=self.x(first) if first else WIDTH,
            last_x=self.x(last) if last and last != first else None,
        )


def axis_over(spans: Iterable[Span], now: datetime) -> Axis:
    """From the first moment to the last known end; today is always on it."""
    moments = [now]
    for span in spans:
        moments += [at for at in (span.since, span.first_end, span.last_end) if at is not None]
    first, last = min(moments), max(moments)
    length = max(last - first, LEAST)
    return Axis(first=first, last=first + length * (1 + MARGIN), now=now)


def _on(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _day(on: date) -> str:
    return f"{on.day} {on:%B %Y}"
