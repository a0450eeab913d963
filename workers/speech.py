"""Transcriber: the port to a speech model, and the pure rules around it.

Samples are float32, shape (n,), mono, 16 kHz, range [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:  # numpy takes 0.2 s to import, and only the model needs it
    import numpy

Samples: TypeAlias = "numpy.typing.NDArray[numpy.float32]"

SAMPLE_RATE = 16_000
LONGEST_S = 600
"""Longest stretch given to the model at once: 38 MB of samples, and progress that moves."""

VOICE_PAD_MS = 400
"""The voice activity filter widens what it finds by this much; cues are widened alike before comparing."""

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


class Transcriber(Protocol):
    """A speech model. Adapters: whisper.py; proven by tests/contracts/test_transcriber.py."""

    name: str

    def hear(self, samples: Samples, *, start_ms: int, language: str) -> Heard:
        """Cues of one stretch that begins at `start_ms`. Blocks for about 5-15 % of its length.
        Silence gives no cues. Raises SpeechModelMissing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcription:
    cues: tuple[Cue, ...]
    coverage: float
    speech_seconds: float


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
    for start_ms, samples in stretches:
        heard = transcriber.hear(samples, start_ms=start_ms, language=language)
        cues.extend(heard.cues)
        speech.extend(heard.speech)
        end_ms = start_ms + len(samples) * 1000 // SAMPLE_RATE
        on_progress(min(0.99, end_ms / total_ms) if total_ms else 0.99)
    return Transcription(
        cues=tuple(cues),
        coverage=coverage(speech, [(c.start_ms - VOICE_PAD_MS, c.end_ms + VOICE_PAD_MS) for c in cues]),
        speech_seconds=sum(b - a for a, b in speech) / 1000,
    )


def coverage(speech: Sequence[tuple[int, int]], cues: Sequence[tuple[int, int]]) -> float:
    """Share of the time with voice that some cue covers, 0..1; 1.0 when nobody spoke."""
    total = sum(end - start for start, end in speech)
    if not total:
        return 1.0
    covered = sum(max(0, min(b, d) - max(a, c)) for a, b in speech for c, d in _merged(cues))
    return min(1.0, covered / total)


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
