"""The speech model on real speech; the same suite runs on every adapter of the Transcriber port."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jiwer
import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from workers.speech import SAMPLE_RATE, SpeechModelMissing, Transcriber, transcribe_stretches
from workers.whisper import WhisperTranscriber

CLEAN = ("jfk", "lj_LJ001-0001", "lj_LJ001-0002", "lj_LJ001-0003", "austen_0870", "austen_0880")


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return WhisperTranscriber("", threads=2)


@pytest.fixture(scope="module")
def speech() -> list[tuple[np.ndarray, str]]:
    """(samples, text) of the clean English of the test set."""
    folder = os.environ.get("TEST_SPEECH_DIR")
    if not folder:
        pytest.skip("TEST_SPEECH_DIR is not set: real speech is not part of the repository")
    from faster_whisper.audio import decode_audio

    rows = [json.loads(line) for line in (Path(folder) / "manifest.jsonl").read_text().splitlines() if line.strip()]
    chosen = [r for r in rows if r["id"] in CLEAN]
    assert len(chosen) >= 4
    return [(decode_audio(str(Path(folder) / r["file"]), sampling_rate=SAMPLE_RATE), r["text"]) for r in chosen]


def error_rate(reference: str, heard: str) -> float:
    normal = EnglishTextNormalizer()
    return jiwer.wer(normal(reference), normal(heard))


def test_the_words_of_real_speech_are_recognised_in_order_and_in_place(transcriber, speech) -> None:
    silence = np.zeros(SAMPLE_RATE, dtype=np.float32)
    track = np.concatenate([part for samples, _ in speech for part in (samples, silence)])
    progress: list[float] = []
    result = transcribe_stretches(
        transcriber,
        [(5000, track)],
        language="en",
        total_ms=5000 + len(track) * 1000 // SAMPLE_RATE,
        on_progress=progress.append,
    )
    heard = " ".join(c.text for c in result.cues)
    assert error_rate(" ".join(text for _, text in speech), heard) <= 0.08
    starts = [w.start_ms for c in result.cues for w in c.words]
    assert starts == sorted(starts)
    assert min(starts) >= 5000
    assert result.coverage > 0.9
    assert progress


@pytest.mark.parametrize("samples", [np.zeros(10 * SAMPLE_RATE, dtype=np.float32), np.zeros(0, dtype=np.float32)])
def test_silence_gives_no_words(transcriber, samples) -> None:
    heard = transcriber.hear(samples, start_ms=0, language="en")
    assert heard.cues == ()
    assert heard.speech == ()


def test_noise_gives_no_words(transcriber) -> None:
    noise = (np.random.default_rng(1).standard_normal(8 * SAMPLE_RATE) * 0.05).astype(np.float32)
    assert transcriber.hear(noise, start_ms=0, language="en").cues == ()


def test_a_missing_model_says_so(tmp_path) -> None:
    with pytest.raises(SpeechModelMissing):
        WhisperTranscriber(str(tmp_path), threads=1)
