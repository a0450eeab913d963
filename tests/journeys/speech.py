"""Real speech for a fake microphone; not part of the repository."""

from __future__ import annotations

import difflib
import json
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

MICROPHONE_HZ = 48_000
PAUSE_SECONDS = 1.0
SPOKEN = ("jfk", "lj_LJ001-0004")  # of more than ten words each, so that one misheard word is not a quarter of them


@dataclass(frozen=True, kw_only=True)
class Speech:
    """One round of it; Chromium begins again at the end, and at the beginning whenever the microphone is opened."""

    wav: Path
    text: str
    seconds: float

    def heard_in(self, transcript: str) -> float:
        """Share of the words that stand in the transcript, in order. Several rounds may have been heard, and the
        first and last of them only in part."""
        normal = EnglishTextNormalizer()
        said, heard = normal(self.text).split(), normal(transcript).split()
        best = 0.0
        for start in range(max(1, len(heard) - len(said) // 2)):
            window = heard[start : start + round(len(said) * 1.2)]
            same = difflib.SequenceMatcher(None, said, window, autojunk=False).get_matching_blocks()
            best = max(best, sum(block.size for block in same) / len(said))
        return best


def real_speech(folder: Path, said: Sequence[str] = SPOKEN) -> Speech:
    """Written as Chromium wants it: 16 bit, mono, 48 kHz. What is not in `said` is silence of the same length, so that
    two voices can take turns. Skips the test where no real speech is at hand."""
    source = os.environ.get("TEST_SPEECH_DIR")
    if not source:
        pytest.skip("TEST_SPEECH_DIR is not set: real speech is not part of the repository")
    from faster_whisper.audio import decode_audio

    rows = [json.loads(line) for line in (Path(source) / "manifest.jsonl").read_text().splitlines() if line.strip()]
    chosen = {row["id"]: row for row in rows if row["id"] in SPOKEN}
    assert set(chosen) == set(SPOKEN)
    pause = np.zeros(round(MICROPHONE_HZ * PAUSE_SECONDS), dtype=np.float32)
    parts = []
    for name in SPOKEN:
        voice = decode_audio(str(Path(source) / chosen[name]["file"]), sampling_rate=MICROPHONE_HZ)
        parts += [voice if name in said else np.zeros_like(voice), pause]
    samples = np.concatenate(parts)
    path = folder / f"speech-{'-'.join(said)}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MICROPHONE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return Speech(wav=path, text=" ".join(chosen[n]["text"] for n in said), seconds=len(samples) / MICROPHONE_HZ)
