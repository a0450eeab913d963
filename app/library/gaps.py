"""Gaps on a timeline: where nothing is stored, or no words were made out, and why, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.language import N_, _, gettext
from app.library.transcripts import NO_WORDS, TranscriptGap
from app.pages import clock, duration
from recordings.gaps import INTERRUPTED, LOST, NOT_CONNECTED, NOTHING_CAME, SENT_TOO_MUCH

REASONS: Mapping[str, str] = {
    NOT_CONNECTED: N_("not connected"),
    INTERRUPTED: N_("the recording was interrupted"),
    LOST: N_("lost on the network"),
    NOTHING_CAME: N_("nothing arrived"),
    SENT_TOO_MUCH: N_("more was sent than is allowed"),
    "paused": N_("the recording was paused"),
    "permission changed": N_("paused, or not to be recorded"),
    "permission did not arrive": N_("our own machines had lost touch, so nothing was recorded"),
    NO_WORDS: N_("somebody spoke, and no words were made out"),
}
"""By what recorder, room and transcription call it; a reason without words here is shown as it stands."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A stretch of a timeline (ms). name: whose, where that is not plain from the place."""

    from_ms: int
    to_ms: int
    why: str
    name: str = ""

    @property
    def reason(self) -> str:
        return gettext(REASONS.get(self.why, self.why))

    @property
    def length(self) -> str:
        milliseconds = self.to_ms - self.from_ms
        return duration(milliseconds) if milliseconds >= 1000 else _("less than a second")

    @property
    def told(self) -> str:
        """gap of 3 s: not connected."""
        if self.why == NO_WORDS:
            return _("no words for %(length)s: %(reason)s", length=self.length, reason=self.reason)
        return _("gap of %(length)s: %(reason)s", length=self.length, reason=self.reason)

    @property
    def words(self) -> str:
        """Gap 0:12 – 0:15: not connected."""
        span = {"start": clock(self.from_ms), "end": clock(self.to_ms), "reason": self.reason}
        if self.why == NO_WORDS:
            return _("No words %(start)s – %(end)s: %(reason)s", **span)
        return _("Gap %(start)s – %(end)s: %(reason)s", **span)

    def shifted(self, offset_ms: int, name: str = "") -> Gap:
        """The same on a timeline that begins `offset_ms` earlier."""
        return replace(self, from_ms=self.from_ms + offset_ms, to_ms=self.to_ms + offset_ms, name=name)


def gaps_of(stored: Iterable[Mapping[str, Any]]) -> tuple[Gap, ...]:
    """Of a recording's row, in time."""
    found = [Gap(from_ms=gap["from_ms"], to_ms=gap["to_ms"], why=gap["why"]) for gap in stored]
    return tuple(sorted(found, key=lambda gap: gap.from_ms))


def unheard(found: Iterable[TranscriptGap]) -> tuple[Gap, ...]:
    """Of a transcript."""
    return tuple(Gap(from_ms=gap.from_ms, to_ms=gap.to_ms, why=gap.why) for gap in found)
