"""Part 3: how long a transcript takes and how many words are wrong, from the sealed recording to the words."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from app.demo import clips
from app.demo.clips import AUDIO_CLOCK_HZ, Clip, ClipKind, EncodedPacket
from app.demo.figures import word_error_rate
from bench.figures import Figure
from bench.stored import StoredRecording
from recordings.model import TrackKind
from recordings.samples import voice_samples
from workers.speech import LONGEST_S, Samples, transcribe_stretches
from workers.whisper import WhisperTranscriber

SHARE_OF_LENGTH = 0.15
SHORT_EXTRA_S = 5.0
WRONG_WORDS_PERCENT = 8.0
LONG_S = 620.0
THREADS = 2
PAUSE_S = 1.0  # between two speakers
_OPUS_FRAME = 960  # samples of 20 ms


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Something spoken, and its words."""

    clip: Clip
    words: str


def measure(folder: Path, *, speech_dir: Path | None, long_s: float = LONG_S) -> list[Figure]:
    """speech_dir: real speech with a manifest.jsonl; without it the demo's speeches stand in for it."""
    demo = [Speech(clip=clips.speech(number), words=clips.speech_text(number)) for number in (1, 2)]
    real = real_speech(speech_dir) if speech_dir else None
    told = "real speech" if real else "the demo's speech"
    figures = [_long(folder / "long", real.clip if real else demo[0].clip, long_s, told)]
    for number, speech in enumerate(demo, start=1):
        figures += _errors(folder / f"demo-{number}", speech, f"demo speech {number}")
    if real:
        figures += _errors(folder / "real", real, "clean English of the test set")
    return figures


def _long(folder: Path, clip: Clip, seconds: float, told: str) -> Figure:
    """Model loading included, as in a worker that has just started."""
    took, _ = asyncio.run(transcribed(folder, clip, seconds))
    return Figure(
        name=f"transcript of {seconds / 60:.1f} min, share of its length",
        unit="",
        runs=(took / seconds,),
        at_most=SHARE_OF_LENGTH,
        note=f"{told}, {took:.0f} s with {THREADS} threads, model loading included",
    )


def _errors(folder: Path, speech: Speech, name: str) -> list[Figure]:
    """A short track: its words, and how long it took."""
    seconds = speech.clip.seconds
    took, heard = asyncio.run(transcribed(folder, speech.clip, seconds))
    return [
        Figure(
            name=f"wrong words, {name}",
            unit="%",
            runs=(100 * word_error_rate(speech.words, heard),),
            at_most=WRONG_WORDS_PERCENT,
            note=f"{len(speech.words.split())} words",
        ),
        Figure(
            name=f"transcript of {seconds:.0f} s, {name}",
            unit="s",
            runs=(took,),
            at_most=round(SHARE_OF_LENGTH * seconds + SHORT_EXTRA_S, 1),
            note=f"{SHARE_OF_LENGTH} x its length + {SHORT_EXTRA_S:.0f} s",
        ),
    ]


async def transcribed(folder: Path, clip: Clip, seconds: float) -> tuple[float, str]:
    """Record the clip for so long, end, and transcribe as a worker does: how long that took, and the words."""
    recording = StoredRecording(folder)
    await recording.capture({TrackKind.VOICE: clip}, seconds)
    summary = await recording.finish()
    began = time.monotonic()
    heard = transcribe_stretches(
        WhisperTranscriber("", threads=THREADS),
        voice_samples(
            recording.store,
            recording.keys,
            recording.ref,
            summary.object_key,
            summary.generation,
            recording.tracks[TrackKind.VOICE],
            longest_s=LONGEST_S,
        ),
        language="en",
        total_ms=summary.duration_ms,
        on_progress=lambda share: None,
    )
    return time.monotonic() - began, " ".join(cue.text for cue in heard.cues)


def real_speech(folder: Path) -> Speech:
    """All clean English of the test set one after the other, as a browser would send it."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines() if line.strip()]
    chosen = [row for row in rows if row["lang"] == "en"]
    silence = np.zeros(round(PAUSE_S * AUDIO_CLOCK_HZ), dtype=np.float32)
    parts = [part for row in chosen for part in (_samples(folder / row["file"]), silence)]
    packets = tuple(
        EncodedPacket(data=data, ticks=number * _OPUS_FRAME, is_key=True)
        for number, data in enumerate(_opus(np.concatenate(parts)))
    )
    clip = Clip(kind=ClipKind.AUDIO, clock_hz=AUDIO_CLOCK_HZ, packets=packets)
    return Speech(clip=clip, words=" ".join(row["text"] for row in chosen))


def _samples(path: Path) -> Samples:
    """float32, shape (n,), mono, 48 kHz, range [-1, 1]."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=AUDIO_CLOCK_HZ)
    with av.open(str(path), "r") as file:
        frames = [piece for frame in file.decode(audio=0) for piece in resampler.resample(frame)]
    frames += resampler.resample(None)
    samples: Samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
    return samples


def _opus(samples: Samples) -> Iterator[bytes]:
    """Packets of 20 ms at the 32 kbit/s that browsers use for speech."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.layout, encoder.bit_rate = AUDIO_CLOCK_HZ, "flt", "mono", 32_000
    encoder.options = {"application": "voip"}
    for start in range(0, len(samples) - _OPUS_FRAME + 1, _OPUS_FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + _OPUS_FRAME], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_CLOCK_HZ, start, Fraction(1, AUDIO_CLOCK_HZ)
        yield from (bytes(packet) for packet in encoder.encode(frame))
    yield from (bytes(packet) for packet in encoder.encode(None))
