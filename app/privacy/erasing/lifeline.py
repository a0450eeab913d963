"""The lifeline of what is held: from captured to erased, with its marks, as fractions of one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.language import N_

WIDTH = 1000  # of the drawing


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment on the line; x from 0 to WIDTH. past: it has happened."""

    x: int
    label: str
    at: datetime
    past: bool


@dataclass(frozen=True, kw_only=True)
class Lifeline:
    """today_x: how far the line is lived; open_end: nobody has set a date for the end; ended: erased."""

    marks: tuple[Mark, ...]
    today_x: int
    open_end: bool
    ended: bool


def lifeline(moments: Sequence[tuple[str, datetime]], now: datetime, *, ends_at: datetime | None) -> Lifeline:
    """moments: at least one label with its moment; ends_at: erasure, done or planned."""
    known = sorted([*moments, *([(N_("erased"), ends_at)] if ends_at else [])], key=lambda one: one[1])
    ended = ends_at is not None and ends_at <= now
    first, last = known[0][1], known[-1][1] if ended else max(known[-1][1], now)
    span = max((last - first).total_seconds(), 1.0)

    def x(at: datetime) -> int:
        return round(min(max((at - first).total_seconds() / span, 0.0), 1.0) * WIDTH)

    return Lifeline(
        marks=tuple(Mark(x=x(at), label=label, at=at, past=at <= now) for label, at in known),
        today_x=x(now) if not ended else WIDTH,
        open_end=ends_at is None,
        ended=ended,
    )
