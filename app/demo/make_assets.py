"""Makes the files of `assets/` again: `python -m app.demo.make_assets` (needs espeak-ng; the texts are the input).

Everything is drawn and spoken here, so the repository owes nothing to anybody's face or voice.
"""

import io
import subprocess
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av import AudioFrame, VideoFrame
from av.audio.resampler import AudioResampler

from app.demo import frame_counter, pictures
from app.demo.clips import ASSETS, AUDIO_CLOCK_HZ, SCREEN_CLIP_OFFSET, speech_text
from app.demo.frame_counter import FLASH_SECONDS, FrameNumber
from app.demo.inspection import BEEP_HZ, Samples
from app.demo.pictures import Picture

CLIP_SECONDS = 40
CAMERA_FPS, SCREEN_FPS = 30, 10
CAMERA_BITS_PER_S, SCREEN_BITS_PER_S = 200_000, 80_000
OPUS_BITS_PER_S = 40_000
KEY_FRAME_SECONDS = 1  # a receiver that lost something, or came late, waits no longer than this
SPEECH_STARTS_S = 0.4
SPEECH_LEVEL = 0.8
BEEP_SECONDS, BEEP_RAMP_SECONDS, BEEP_LEVEL = 0.04, 0.001, 0.03
VOICES = {1: ("en-us", 150), 2: ("en-gb", 148)}  # espeak-ng voice, words per minute


def main() -> None:
    for person in VOICES:
        voice = speak(person)
        write_opus(f"speech-{person}.opus", with_beeps(voice))
        loudness = per_frame_loudness(voice)
        write_vp8(f"camera-{person}.ivf", person, CAMERA_FPS, CAMERA_BITS_PER_S, pictures.camera(person, loudness))
        shots = pictures.screen(person, CLIP_SECONDS * SCREEN_FPS)
        write_vp8(f"screen-{person}.ivf", SCREEN_CLIP_OFFSET + person, SCREEN_FPS, SCREEN_BITS_PER_S, shots)
    for path in sorted(ASSETS.iterdir()):
        print(f"{path.name:16} {path.stat().st_size:9,} bytes")


def speak(person: int) -> Samples:
    """The person's text as float32, mono, 48 kHz, exactly CLIP_SECONDS long."""
    voice, words_per_minute = VOICES[person]
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", speech_text(person)]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    resampler = AudioResampler(format="fltp", layout="mono", rate=AUDIO_CLOCK_HZ)
    with av.open(io.BytesIO(spoken), "r") as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames + resampler.resample(None)])
    start = round(SPEECH_STARTS_S * AUDIO_CLOCK_HZ)
    clip = np.zeros(CLIP_SECONDS * AUDIO_CLOCK_HZ, dtype=np.float32)
    if start + len(samples) > len(clip):
        raise SystemExit(f"speech-{person}.txt takes {len(samples) / AUDIO_CLOCK_HZ:.1f} s: shorten it")
    clip[start : start + len(samples)] = SPEECH_LEVEL * samples
    return clip


def with_beeps(voice: Samples) -> Samples:
    """The voice with a beep at each full second, pitched above what espeak-ng says and Whisper hears (8 kHz)."""
    before = round(BEEP_RAMP_SECONDS / 2 * AUDIO_CLOCK_HZ)  # the middle of the ramp is where the beep starts
    t = np.arange(-before, round(BEEP_SECONDS * AUDIO_CLOCK_HZ) + before) / AUDIO_CLOCK_HZ
    nearest_end = np.minimum(t - t[0], t[-1] - t)
    beep = BEEP_LEVEL * np.clip(nearest_end / BEEP_RAMP_SECONDS, 0, 1) * np.sin(2 * np.pi * BEEP_HZ * t)
    mixed = voice.copy()
    for second in range(1, CLIP_SECONDS):
        start = second * AUDIO_CLOCK_HZ - before
        mixed[start : start + len(beep)] += beep.astype(np.float32)
    return mixed


def per_frame_loudness(voice: Samples) -> list[float]:
    """How wide the mouth opens in each camera frame: 0 (silent) to 1 (loudest)."""
    loudness = np.sqrt(np.square(voice).reshape(CLIP_SECONDS * CAMERA_FPS, -1).mean(axis=1))
    return [float(value) for value in loudness / loudness.max()]


def write_vp8(name: str, clip: int, fps: int, bits_per_s: int, drawn: Iterable[Picture]) -> None:
    """Number the pictures and write them as VP8: a key frame per second, no hidden frames, one packet per picture."""
    with av.open(str(ASSETS / name), "w", format="ivf", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libvpx", rate=fps)
        stream.width, stream.height, stream.pix_fmt = pictures.WIDTH, pictures.HEIGHT, "yuv420p"
        stream.bit_rate = bits_per_s
        gop = str(fps * KEY_FRAME_SECONDS)
        stream.options = {"g": gop, "keyint_min": gop, "auto-alt-ref": "0", "lag-in-frames": "0", "deadline": "good"}
        stream.options |= {"cpu-used": "1", "qmin": "4", "qmax": "48"}
        stream.time_base = Fraction(1, fps)
        for index, picture in enumerate(drawn):
            frame_counter.draw(picture, FrameNumber(clip=clip, frame=index), flash=index % fps < FLASH_SECONDS * fps)
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_opus(name: str, samples: Samples) -> None:
    """Write mono samples as Opus in Ogg, 20 ms a packet."""
    with av.open(str(ASSETS / name), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=AUDIO_CLOCK_HZ, layout="mono")
        stream.bit_rate = OPUS_BITS_PER_S
        stream.options = {"application": "audio", "frame_duration": "20", "vbr": "on"}
        frame = AudioFrame.from_ndarray(samples[np.newaxis, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_CLOCK_HZ, 0, Fraction(1, AUDIO_CLOCK_HZ)
        resampler = AudioResampler(format="flt", layout="mono", rate=AUDIO_CLOCK_HZ, frame_size=960)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
