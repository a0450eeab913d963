"""The transcript as it is read: spoken lines with the place of each word, and gaps, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from app.library.corrections import Correction
from app.library.gaps import Gap
from app.library.transcripts import TranscriptCue


class Piece(NamedTuple):
    """A word as the line has it, the space between it and the next one, and when it is said. A tuple: two hours have
    15 000 of them."""

    text: str
    after: str
    at_ms: int


class Spoken(NamedTuple):
    """A line somebody says. The pieces together are its text, character for character. heard: what the model made
    out, where that was corrected; corrected_by: whose correction it is, a name."""

    start_ms: int
    end_ms: int
    speaker: str
    pieces: tuple[Piece, ...]
    heard: str = ""
    corrected_by: str = ""
    corrected_at: datetime | None = None

    @property
    def text(self) -> str:
        return "".join(piece.text + piece.after for piece in self.pieces)


Line = Spoken | Gap


def spoken(
    cue: TranscriptCue, speaker: str, offset_ms: int = 0, correction: Correction | None = None, by: str = ""
) -> Spoken:
    """A stored cue on a timeline that begins `offset_ms` earlier, as it was corrected. Each word the model timed is
    looked for in the text after the one before it; what is not found belongs to the word before."""
    heard = " ".join(cue.text.split())
    text = " ".join(correction.text.split()) if correction else heard
    changed = correction if text != heard else None
    begins: list[tuple[int, int]] = []  # (place in the text, when)
    searched = 0
    for word in cue.words:
        place = text.find(word.text, searched) if word.text else -1
        if place >= 0:
            begins.append((place if begins else 0, max(word.start_ms, begins[-1][1] if begins else cue.start_ms)))
            searched = place + len(word.text)
    begins = begins or [(0, cue.start_ms)]
    pieces, end = [], len(text)
    for place, at_ms in reversed(begins):
        whole = text[place:end]
        said, end = whole.rstrip(), place
        pieces.append(Piece(said, whole[len(said) :], at_ms + offset_ms))
    pieces.reverse()
    return Spoken(
        start_ms=cue.start_ms + offset_ms,
        end_ms=cue.end_ms + offset_ms,
        speaker=" ".join(speaker.split()),
        pieces=tuple(pieces),
        heard=heard if changed else "",
        corrected_by=by if changed else "",
        corrected_at=changed.at if changed else None,
    )


def in_time(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Everybody's lines and gaps as one dialogue."""
    return tuple(sorted(lines, key=start_of))


def start_of(line: Line) -> int:
    return line.from_ms if isinstance(line, Gap) else line.start_ms
