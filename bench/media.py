"""Encoded media to publish: the load every measurement of the media path is told in.

VP8 1280x720, 30 frames a second, 1.8 Mbit/s, a key frame every 90 frames, encoded once before anything is measured;
and the demo's speech as Opus, 20 ms a packet. That is about 260 packets a second on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np

from app.demo.clips import VIDEO_CLOCK_HZ, Clip, ClipKind, EncodedPacket

WIDTH, HEIGHT = 1280, 720
FRAMES_PER_SECOND = 30
BITS_PER_SECOND = 1_800_000
KEY_FRAME_EVERY = 90
ROUND_FRAMES = 3 * KEY_FRAME_EVERY
_GRAIN = 8
_NOISE = 4


def encode_720p(frames: int = ROUND_FRAMES) -> Clip:
    """A moving picture that is hard enough to compress to need its bit rate. Takes some seconds."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FRAMES_PER_SECOND), Fraction(FRAMES_PER_SECOND)
    encoder.gop_size, encoder.bit_rate, encoder.thread_count = KEY_FRAME_EVERY, BITS_PER_SECOND, 2
    bits = str(BITS_PER_SECOND)
    encoder.options = {
        "deadline": "realtime",
        "cpu-used": "8",
        "lag-in-frames": "0",
        "keyint_min": str(KEY_FRAME_EVERY),
        "minrate": bits,
        "maxrate": bits,
        "bufsize": bits,
    }
    packets: list[EncodedPacket] = []
    for number, picture in enumerate(_pictures(frames)):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        packets += [
            EncodedPacket(
                data=bytes(packet),
                ticks=len(packets) * VIDEO_CLOCK_HZ // FRAMES_PER_SECOND,
                is_key=packet.is_keyframe,
            )
            for packet in encoder.encode(frame)
        ]
    return Clip(kind=ClipKind.VIDEO, clock_hz=VIDEO_CLOCK_HZ, packets=tuple(packets))


def repeated(clip: Clip, seconds: float) -> Iterator[EncodedPacket]:
    """The clip's packets from time 0 on, again and again until `seconds` are full."""
    length, first, end = round(clip.seconds * clip.clock_hz), clip.packets[0].ticks, seconds * clip.clock_hz
    start = 0
    while True:
        for packet in clip.packets:
            ticks = start + packet.ticks - first
            if ticks >= end:
                return
            yield replace(packet, ticks=ticks)
        start += length


def lasting(clip: Clip, seconds: float) -> Clip:
    """The clip, repeated or cut to `seconds`."""
    return replace(clip, packets=tuple(repeated(clip, seconds)))


def _pictures(count: int) -> Iterator[np.ndarray]:
    """yuv420p pictures, shape (HEIGHT * 3 / 2, WIDTH): a moving texture under noise that never repeats."""
    chance = np.random.default_rng(1)
    coarse = chance.integers(60, 190, (HEIGHT // _GRAIN, WIDTH // _GRAIN), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((_GRAIN, _GRAIN), dtype=np.uint8))
    noise = chance.integers(0, _NOISE, (2 * HEIGHT, 2 * WIDTH), dtype=np.uint8)
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, dtype=np.uint8)
    for number in range(count):
        top, left = chance.integers(0, HEIGHT), chance.integers(0, WIDTH)
        picture[:HEIGHT] = np.roll(texture, _GRAIN * number, axis=1) + noise[top : top + HEIGHT, left : left + WIDTH]
        yield picture
