"""A transcript to take along: WebVTT with the time of every word, SubRip, or plain text; gaps in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from app.library.gaps import Gap
from app.library.lines import Line, Spoken


def to_vtt(lines: Sequence[Line]) -> str:
    """WebVTT (W3C Candidate Recommendation 4 April 2019): speakers as voice spans (§3.4 there), words by cue
    timestamps (§3.3), gaps as comments (§3.1)."""
    return "\n\n".join(["WEBVTT", *map(_vtt_block, lines)]) + "\n"


def to_srt(lines: Sequence[Line]) -> str:
    """SubRip, as players read it; it knows no comments, so a gap is a caption in brackets."""
    return "\n".join(f"{number}\n{_srt_block(line)}\n" for number, line in enumerate(lines, 1))


def to_txt(lines: Sequence[Line]) -> str:
    """For reading: a paragraph per turn, with the time and name it begins with."""
    turns: list[str] = []
    speaker: str | None = None
    for line in lines:
        if isinstance(line, Gap):
            turns.append(f"[{_stamp(line.from_ms)[:8]}] ({_gap(line)})")
            speaker = None
        elif line.speaker != speaker:
            speaker = line.speaker
            said_by = f" {speaker}" if speaker else ""
            turns.append(f"[{_stamp(line.start_ms)[:8]}]{said_by}\n{line.text}")
        else:
            turns[-1] += " " + line.text
    return "\n\n".join(turns) + "\n"


FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Line]], str]]] = {
    "vtt": ("text/vtt; charset=utf-8", to_vtt),
    "srt": ("application/x-subrip; charset=utf-8", to_srt),
    "txt": ("text/plain; charset=utf-8", to_txt),
}
"""By the ending of the file: media type, and who writes it."""


def _vtt_block(line: Line) -> str:
    if isinstance(line, Gap):
        return f"NOTE {_escaped(_gap(line))} ({_stamp(line.from_ms)} to {_stamp(line.to_ms)})"
    end_ms = max(line.end_ms, line.start_ms + 1)
    voice = f"<v {_escaped(line.speaker)}>" if line.speaker else ""
    return f"{_stamp(line.start_ms)} --> {_stamp(end_ms)}\n{voice}{_timed(line, end_ms)}"


def _timed(line: Spoken, end_ms: int) -> str:
    """Each cue timestamp is later than the one before and lies inside the cue, as §3.3 demands."""
    text, last_ms = "", line.start_ms
    for piece in line.pieces:
        if last_ms < piece.at_ms < end_ms:
            text += f"<{_stamp(piece.at_ms)}>"
            last_ms = piece.at_ms
        text += _escaped(piece.text + piece.after)
    return text


def _srt_block(line: Line) -> str:
    if isinstance(line, Gap):
        return f"{_srt_span(line.from_ms, line.to_ms)}\n[{_gap(line)}]"
    said = f"{line.speaker}: {line.text}" if line.speaker else line.text
    return f"{_srt_span(line.start_ms, line.end_ms)}\n{said}"


def _srt_span(from_ms: int, to_ms: int) -> str:
    return f"{_stamp(from_ms)} --> {_stamp(to_ms)}".replace(".", ",")


def _gap(gap: Gap) -> str:
    """Anna, gap of 3 s: not connected."""
    return f"{gap.name}, {gap.told}" if gap.name else gap.told


def _stamp(milliseconds: int) -> str:
    """hh:mm:ss.mmm"""
    seconds, rest = divmod(max(0, milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{rest:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
