"""Transcriber: the port to a speech model, and the pure rules around it.

Samples are float32, shape (n,), mono, 16 kHz, range [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:  # numpy takes 0.2 s to import, and only the model needs it
    import numpy

Samples: TypeAlias = "numpy.typing.NDArray[numpy.float32]"

SAMPLE_RATE = 16_000
LONGEST_S = 600
"""Longest stretch given to the model at once: 38 MB of samples, and progress that moves."""

VOICE_PAD_MS = 400
"""The voice activity filter widens what it finds by this much; cues are widened alike before comparing."""

UNHEARD_MS = 1000
"""A voice without words for at least this long is shown as a gap of the transcript."""

TURN_MS = 1500
"""Whoever is silent for this long may have been answered: what they say next is a line of its own."""

NO_SPEECH = 0.9
LOW_PROBABILITY = -0.5
REPETITIVE = 2.4  # compression ratio above which Whisper is repeating itself


class SpeechModelMissing(Exception):
    """The speech model is not installed; set JUNIER_SPEECH_MODEL to a model name or folder."""

    retry = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """A timed line of transcript, in ms of the recording's own timeline."""

    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What the model made of one stretch: its cues and where voice activity was found (ms)."""

    cues: tuple[Cue, ...]
    speech: tuple[tuple[int, int], ...]


HeardUntil: TypeAlias = Callable[[int], None]
"""Told how far (ms on the recording's timeline) the model has come."""


def nothing(until_ms: int) -> None:
    """For those who need not know."""


class Transcriber(Protocol):
    """A speech model. Adapters: whisper.py; proven by tests/contracts/test_transcriber.py."""

    name: str
    country: str  # two letters (ISO 3166-1) of where it hears; empty: this machine

    def hear(self, samples: Samples, *, start_ms: int, language: str, heard_until: HeardUntil = nothing) -> Heard:
        """Cues of one stretch that begins at `start_ms`. Blocks for about 5-15 % of its length, and says
        meanwhile how far it has come. Silence gives no cues. Raises SpeechModelMissing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcription:
    """coverage: None when nobody spoke; unheard: stretches (ms) with a voice and no words."""

    cues: tuple[Cue, ...]
    coverage: float | None
    unheard: tuple[tuple[int, int], ...]


def transcribe_stretches(
    transcriber: Transcriber,
    stretches: Iterable[tuple[int, Samples]],
    *,
    language: str,
    total_ms: int,
    on_progress: Callable[[float], None],
) -> Transcription:
    """Hear every stretch of a track in order; gaps between stretches stay gaps."""
    cues: list[Cue] = []
    speech: list[tuple[int, int]] = []

    def heard_until(until_ms: int) -> None:
        on_progress(min(0.99, until_ms / total_ms) if total_ms else 0.99)

    for start_ms, samples in stretches:
        heard = transcriber.hear(samples, start_ms=start_ms, language=language, heard_until=heard_until)
        cues.extend(turn for cue in heard.cues for turn in turns(cue))
        speech.extend(heard.speech)
        heard_until(start_ms + len(samples) * 1000 // SAMPLE_RATE)
    with_words = [(c.start_ms - VOICE_PAD_MS, c.end_ms + VOICE_PAD_MS) for c in cues]
    return Transcription(
        cues=tuple(cues),
        coverage=coverage(speech, with_words) if speech else None,
        unheard=unheard(speech, with_words),
    )


def turns(cue: Cue) -> tuple[Cue, ...]:
    """A cue in parts, one for each turn of its speaker, so that the lines of several people read as a dialogue.
    Together the parts say what the cue says."""
    begins = [0]  # the first words of the turns, by number, and where they stand in the text
    places = [0]
    searched = 0
    for number, word in enumerate(cue.words):
        place = cue.text.find(word.text, searched)
        if place < 0:
            continue
        searched = place + len(word.text)
        if number and word.start_ms - cue.words[number - 1].end_ms >= TURN_MS:
            begins.append(number)
            places.append(place)
    if len(begins) == 1:
        return (cue,)
    parts = zip(pairwise([*begins, len(cue.words)]), pairwise([*places, len(cue.text)]), strict=True)
    return tuple(
        Cue(
            start_ms=cue.words[first].start_ms,
            end_ms=cue.words[beyond - 1].end_ms,
            text=cue.text[begin:end].strip(),
            words=cue.words[first:beyond],
        )
        for (first, beyond), (begin, end) in parts
    )


def coverage(speech: Sequence[tuple[int, int]], cues: Sequence[tuple[int, int]]) -> float:
    """Share of the time with voice that some cue covers, 0..1; 1.0 when nobody spoke."""
    total = sum(end - start for start, end in speech)
    if not total:
        return 1.0
    covered = sum(max(0, min(b, d) - max(a, c)) for a, b in speech for c, d in _merged(cues))
    return min(1.0, covered / total)


def unheard(speech: Sequence[tuple[int, int]], cues: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Stretches of at least UNHEARD_MS where there was a voice and no cue stands."""
    found = []
    for start, end in _merged(speech):
        inside = [(max(start, a), min(end, b)) for a, b in _merged(cues) if a < end and b > start]
        edges = [(start, start), *inside, (end, end)]
        found += [(before[1], after[0]) for before, after in pairwise(edges) if after[0] - before[1] >= UNHEARD_MS]
    return tuple(found)


def trustworthy(*, no_speech: float, log_probability: float, compression: float) -> bool:
    """False for what Whisper tends to invent over silence (Koenecke et al., FAccT 2024)."""
    return not (no_speech > NO_SPEECH and log_probability < LOW_PROBABILITY) and compression <= REPETITIVE


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
