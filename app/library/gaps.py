"""Gaps on a timeline: where nothing is stored, or no words were made out, and why, in words for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.language import N_, _, gettext
from app.library.transcripts import NO_WORDS, TranscriptGap
from app.pages import clock, duration
from recordings.gaps import INTERRUPTED, LOST, NOT_CONNECTED, NOTHING_CAME, SENT_TOO_MUCH
from recordings.model import TrackKind

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

_PICTURE = (N_("picture missing for %(length)s: %(reason)s"), N_("Picture missing %(span)s: %(reason)s"))
MISSING: Mapping[TrackKind | None, tuple[str, str]] = {
    None: (N_("gap of %(length)s: %(reason)s"), N_("Gap %(span)s: %(reason)s")),
    TrackKind.CAMERA: _PICTURE,
    TrackKind.SCREEN: _PICTURE,
    TrackKind.VOICE: (N_("voice missing for %(length)s: %(reason)s"), N_("Voice missing %(span)s: %(reason)s")),
    TrackKind.SCREEN_SOUND: (N_("sound missing for %(length)s: %(reason)s"), N_("Sound missing %(span)s: %(reason)s")),
}
"""Told in the transcript, and by the player."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A stretch of a timeline (ms). kind: what alone is missing while something else goes on, None for everything;
    name: whose, where that is not plain from the place."""

    from_ms: int
    to_ms: int
    why: str
    kind: TrackKind | None = None
    name: str = ""

    @property
    def covers_picture(self) -> bool:
        """Whether there is no picture to see in it."""
        return self.kind is None or self.kind.is_video

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
        return gettext(MISSING[self.kind][0]) % {"length": self.length, "reason": self.reason}

    @property
    def words(self) -> str:
        """Gap 0:12 – 0:15: not connected."""
        start, end = clock(self.from_ms), clock(self.to_ms)
        span = start if start == end else f"{start} – {end}"
        if self.why == NO_WORDS:
            return _("No words %(span)s: %(reason)s", span=span, reason=self.reason)
        return gettext(MISSING[self.kind][1]) % {"span": span, "reason": self.reason}

    def shifted(self, offset_ms: int, name: str = "") -> Gap:
        """The same on a timeline that begins `offset_ms` earlier."""
        return replace(self, from_ms=self.from_ms + offset_ms, to_ms=self.to_ms + offset_ms, name=name)


def gaps_of(stored: Iterable[Mapping[str, Any]], kinds: Collection[TrackKind]) -> tuple[Gap, ...]:
    """Of a recording's row, in time: of everything, and what one of these kinds lacks while another goes on. A row from
    before the latter was kept has none of it."""
    found = [
        Gap(from_ms=gap["from_ms"], to_ms=gap["to_ms"], why=gap["why"], kind=kind)
        for gap in stored
        for kind in [TrackKind(gap["kind"]) if "kind" in gap else None]
        if kind is None or kind in kinds
    ]
    return tuple(sorted(found, key=lambda gap: gap.from_ms))


def of_voice(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """What a voice lacks, alone or with everything else, in time: where one follows the other for the same reason, it
    is one gap to whoever only listens."""
    joined: list[Gap] = []
    for gap in gaps:
        if gap.kind not in {None, TrackKind.VOICE}:
            continue
        last = joined[-1] if joined else None
        if last and last.to_ms == gap.from_ms and last.why == gap.why:
            joined[-1] = replace(last, to_ms=gap.to_ms, kind=TrackKind.VOICE)
        else:
            joined.append(gap)
    return tuple(joined)


def unheard(found: Iterable[TranscriptGap]) -> tuple[Gap, ...]:
    """Of a transcript."""
    return tuple(Gap(from_ms=gap.from_ms, to_ms=gap.to_ms, why=gap.why) for gap in found)
