"""What a recording proves, read from the bytes that were served: demuxed and decoded as any player would.

Frames are counted and named by the numbers in their pictures; the offset between picture and sound comes from the flash
and the beep that the demo's clips carry once per second.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import av
import numpy as np
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from app.demo.frame_counter import FrameNumber, is_flash, read

Samples = NDArray[np.float32]

BEEP_HZ = 13_000
BEEP_WINDOW_SECONDS = 0.005
BEEP_APART_SECONDS = 0.1
BEEP_MIN_LEVEL = 0.005  # of full scale; below this there is no beep to time
SAME_EVENT_SECONDS = 0.4  # a flash and a beep further apart than this are not of the same second
CONTINUOUS_SECONDS = 0.005  # packet times are rounded to 1 ms: less than this apart is no gap


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found. Times are seconds in the file; `numbers` has None for a picture without a readable number,
    `pictures_at` and `sound_at` when each picture and each packet of sound begins."""

    seconds: float
    frames: int
    audio_packets: int
    numbers: tuple[FrameNumber | None, ...]
    pictures_at: tuple[float, ...]
    sound_at: tuple[float, ...]
    flashes: tuple[float, ...]
    beeps: tuple[float, ...]

    @property
    def av_offset_ms(self) -> float | None:
        """Median of beep minus flash: positive = the sound is late; None when no pair was found."""
        offsets = [beep - flash for flash, beep in _pairs(self.flashes, self.beeps)]
        return 1000 * median(offsets) if offsets else None

    def missing(self, clip: int, frames_sent: int) -> tuple[int, ...]:
        """Which of the frames 0..frames_sent-1 of that clip are in no picture."""
        seen = {number.frame for number in self.numbers if number and number.clip == clip}
        return tuple(frame for frame in range(frames_sent) if frame not in seen)

    def foreign(self, clip: int) -> int:
        """How many pictures are not of that clip, or cannot be read."""
        return sum(number is None or number.clip != clip for number in self.numbers)


def inspect(media: bytes) -> Inspection:
    """Demux and decode a whole file (any container PyAV reads; all its video and audio tracks together)."""
    frames, packets, end = 0, 0, 0.0
    numbers: list[FrameNumber | None] = []
    pictures_at: list[float] = []
    sound_at: list[float] = []
    flashes: list[float] = []
    was_lit = True  # a flash that was already lit when the file began has no start to time
    sound: list[AudioFrame] = []
    with av.open(io.BytesIO(media), "r") as container:
        for packet in container.demux():
            is_video = packet.stream.type == "video"
            if packet.pts is not None and packet.size:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                frames, packets = frames + is_video, packets + (not is_video)
                if not is_video:
                    sound_at.append(float(packet.pts * packet.time_base))
            for frame in packet.decode():
                if isinstance(frame, AudioFrame):
                    sound.append(frame)
                elif isinstance(frame, VideoFrame):
                    luma = _luma(frame)
                    numbers.append(read(luma))
                    pictures_at.append(_time(frame))
                    if is_flash(luma) and not was_lit:
                        flashes.append(_time(frame))
                    was_lit = is_flash(luma)
    return Inspection(
        seconds=end,
        frames=frames,
        audio_packets=packets,
        numbers=tuple(numbers),
        pictures_at=tuple(pictures_at),
        sound_at=tuple(sound_at),
        flashes=tuple(flashes),
        beeps=tuple(_beeps(sound)),
    )


def _luma(frame: VideoFrame) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows: NDArray[np.uint8] = np.frombuffer(bytes(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def _time(frame: VideoFrame | AudioFrame) -> float:
    if frame.time is None:
        raise ValueError("a decoded frame without a time")
    return frame.time


def _beeps(sound: Sequence[AudioFrame]) -> Iterator[float]:
    """When each beep begins, in seconds."""
    for start, rate, samples in _stretches(sound):
        window = round(BEEP_WINDOW_SECONDS * rate)
        if len(samples) <= window:
            continue
        carrier = np.exp(-2j * np.pi * BEEP_HZ / rate * np.arange(len(samples)))
        total = np.concatenate(([0], np.cumsum(samples * carrier)))
        level = 2 * np.abs(total[window:] - total[:-window]) / window  # of the sine, centred on each window
        if level.max() < BEEP_MIN_LEVEL:
            continue
        loud = level > level.max() / 2  # a centred mean passes half its height where the beep begins
        onsets = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
        for onset in onsets[np.diff(onsets, prepend=-rate) > BEEP_APART_SECONDS * rate]:  # later ones are ripple
            yield start + (float(onset) + window / 2) / rate


def _stretches(sound: Sequence[AudioFrame]) -> Iterator[tuple[float, int, Samples]]:
    """Sound without gaps: (start in seconds, rate in Hz, mono samples)."""
    pieces: list[Samples] = []
    start = expected = 0.0
    for frame in sound:
        if pieces and abs(_time(frame) - expected) > CONTINUOUS_SECONDS:
            yield start, frame.sample_rate, np.concatenate(pieces)
            pieces = []
        if not pieces:
            start = expected = _time(frame)
        pieces.append(frame.to_ndarray().astype(np.float32).mean(axis=0))
        expected += frame.samples / frame.sample_rate
    if pieces:
        yield start, sound[-1].sample_rate, np.concatenate(pieces)


def _pairs(flashes: Sequence[float], beeps: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Each flash with the beep nearest to it."""
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) < SAME_EVENT_SECONDS:
            yield flash, nearest
