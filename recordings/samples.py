"""Samples: the sound of one track for transcription, decoded in memory and never written anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from recordings.capture.webm import simple_blocks
from recordings.encryption.keystore import KeyStore
from recordings.index import IndexChunk, read_index
from recordings.model import RecordingRef, TrackRef
from recordings.playback import OpenedChunks
from recordings.storage.layout import track_key_path
from recordings.storage.store import ObjectStore

if TYPE_CHECKING:
    import numpy

SAMPLE_RATE = 16_000
_GAP_MS = 1000  # shorter ones are filled with silence, so that no word is cut in two
_OFF_BY_MS = 40  # how far decoded sound may be from its place before it is moved back
_SEARCH_S = 30  # where a quiet place to cut a long stretch is looked for


def voice_samples(
    store: ObjectStore,
    keys: KeyStore,
    ref: RecordingRef,
    index_object_key: str,
    generation: int,
    track: TrackRef,
    *,
    longest_s: int = 1200,
) -> Iterator[tuple[int, numpy.ndarray]]:
    """Contiguous stretches of a sound track: (start in ms of the recording's timeline, samples).

    samples: float32, shape (n,), mono, 16 kHz, range [-1, 1]. A gap of a second or more starts another
    stretch; one longer than longest_s is cut at its quietest place, which bounds memory (64 kB/s).
    Raises SealBroken, StoreError, KeyDestroyed.
    """
    index = read_index(store, keys, ref, index_object_key, generation)
    chunks = next((found.chunks for found in index.tracks if found.track == track.track), ())
    opened = OpenedChunks(store, {track: keys.unwrap(track_key_path(track))})
    for stretch in _stretches(chunks):
        yield from _decoded(opened, track, stretch, longest_s)


def _stretches(chunks: tuple[IndexChunk, ...]) -> Iterator[list[IndexChunk]]:
    stretch = list(chunks[:1])
    for before, chunk in pairwise(chunks):
        if chunk.start_ms - before.end_ms >= _GAP_MS:
            yield stretch
            stretch = []
        stretch.append(chunk)
    if stretch:
        yield stretch


def _decoded(
    opened: OpenedChunks, track: TrackRef, chunks: list[IndexChunk], longest_s: int
) -> Iterator[tuple[int, numpy.ndarray]]:
    import numpy  # heavy, and the web process never decodes

    decoder = _OpusDecoder()
    start_ms = chunks[0].start_ms
    parts: list[numpy.ndarray] = []
    have = 0  # samples in parts
    for number, chunk in enumerate(chunks):
        due = (chunk.start_ms - start_ms) * SAMPLE_RATE // 1000
        if abs(due - have) > _OFF_BY_MS * SAMPLE_RATE // 1000:  # loss, or a drifting sound card
            joined = numpy.concatenate(parts) if parts else numpy.zeros(0, numpy.float32)
            parts = [joined[:due], numpy.zeros(max(0, due - have), numpy.float32)]
            have = sum(len(part) for part in parts)
        blocks = opened.blocks(track, chunk, chunks[number + 1 : number + 16])
        new = [samples for block in simple_blocks(blocks) for samples in decoder.decode(block.data)]
        parts += new
        have += sum(len(samples) for samples in new)
        if have > longest_s * SAMPLE_RATE:
            joined = numpy.concatenate(parts)
            cut = _quiet_place(joined)
            yield start_ms, joined[:cut]
            parts, have = [joined[cut:]], have - cut
            start_ms += cut * 1000 // SAMPLE_RATE
    parts += decoder.flush()
    if parts:
        yield start_ms, numpy.concatenate(parts)


def _quiet_place(samples: numpy.ndarray) -> int:
    """Middle of the quietest 100 ms near the end."""
    import numpy

    window = SAMPLE_RATE // 10
    tail = samples[-min(len(samples), _SEARCH_S * SAMPLE_RATE) :]
    rows = tail[: len(tail) // window * window].reshape(-1, window)
    quietest = int(numpy.argmin(numpy.square(rows).mean(axis=1)))
    return len(samples) - len(tail) + quietest * window + window // 2


class _OpusDecoder:
    """Opus packets -> float32 mono 16 kHz. A packet that does not decode is left out."""

    def __init__(self) -> None:
        import av

        self._av = av
        self._codec = av.CodecContext.create("opus", "r")
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)

    def decode(self, data: bytes) -> list[numpy.ndarray]:
        try:
            frames = self._codec.decode(self._av.Packet(data))
        except self._av.error.FFmpegError:
            return []
        return self._resampled(frames)

    def flush(self) -> list[numpy.ndarray]:
        return self._resampled([None])

    def _resampled(self, frames: list) -> list[numpy.ndarray]:  # type: ignore[type-arg]  # av has no types here
        for frame in frames:
            if frame is not None:
                frame.pts = None
        return [out.to_ndarray()[0] for frame in frames for out in self._resampler.resample(frame)]
