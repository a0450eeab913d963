"""The lifeline of a review: what was stored and what is missing, as fractions of one timeline.

Drawn by the page as SVG; this is the geometry and its text alternative, from values alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.language import _, gettext
from app.library.gaps import Gap
from app.library.service import Playable, Review
from app.pages import clock
from app.sessions.listing import TRACK_WORDS
from app.sessions.notes import NoteLine

WIDTH = 1000  # units of the drawing


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """x1..x2 in units of WIDTH; gap: nothing is stored here, and `why` in words."""

    x1: float
    x2: float
    gap: bool
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Lifeline:
    """what: of this person it shows, a stream or one kind of it; still to be translated."""

    name: str
    what: str
    stretches: tuple[Stretch, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class PlacedNote:
    """A note on the review's timeline. at_ms: where to jump to, None when nothing plays; x: in units of WIDTH."""

    note: NoteLine
    at_ms: int | None
    x: float


def placed(notes: Sequence[NoteLine], review: Review) -> tuple[PlacedNote, ...]:
    """Notes where they belong; those from before or after the recording stand at its beginning or end."""
    if review.started_at is None or not review.duration_ms:
        return tuple(PlacedNote(note=note, at_ms=None, x=0.0) for note in notes)
    found = []
    for note in notes:
        at_ms = round((note.at - review.started_at).total_seconds() * 1000)
        at_ms = min(max(at_ms, 0), review.duration_ms)
        found.append(PlacedNote(note=note, at_ms=at_ms, x=round(WIDTH * at_ms / review.duration_ms, 1)))
    return tuple(found)


def lifeline(review: Review) -> tuple[Lifeline, ...]:
    """One line per recording, in the order of the review; one for each kind where a kind went on without another."""
    return tuple(line for recording in review.recordings for line in _lines(recording, review.duration_ms))


def _lines(recording: Playable, duration_ms: int) -> Iterator[Lifeline]:
    alike = all(gap.kind is None for gap in recording.gaps)
    if alike or len(recording.kinds) == 1:
        yield _line(recording, recording.stream, recording.gaps, duration_ms)
        return
    for kind in recording.kinds:
        own = [gap for gap in recording.gaps if gap.kind in {None, kind}]
        yield _line(recording, TRACK_WORDS[kind], own, duration_ms)


def _line(recording: Playable, what: str, gaps: Sequence[Gap], duration_ms: int) -> Lifeline:
    def x(ms: int) -> float:
        return round(WIDTH * ms / duration_ms, 1) if duration_ms else 0.0

    end = recording.offset_ms + recording.duration_ms
    stretches: list[Stretch] = []
    at = recording.offset_ms
    for gap in sorted(gaps, key=lambda gap: gap.from_ms):
        if gap.from_ms > at:
            stretches.append(Stretch(x1=x(at), x2=x(gap.from_ms), gap=False))
        stretches.append(Stretch(x1=x(gap.from_ms), x2=x(gap.to_ms), gap=True, why=gap.words))
        at = max(at, gap.to_ms)
    if at < end:
        stretches.append(Stretch(x1=x(at), x2=x(end), gap=False))
    span = {"start": clock(recording.offset_ms), "end": clock(end)}
    whole = _("recorded %(start)s to %(end)s", **span)
    told = "; ".join(gap.words for gap in gaps) or _("no gaps")
    text = f"{recording.name}, {gettext(what)}: {whole}, {told}"
    return Lifeline(name=recording.name, what=what, stretches=tuple(stretches), text=text)
