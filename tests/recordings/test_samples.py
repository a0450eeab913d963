"""What transcription hears is what was said, at the time it was said."""

from __future__ import annotations

import numpy
import pytest

from recordings.samples import SAMPLE_RATE, voice_samples
from tests.recordings.scene import CAMERA, VOICE, Scene

ONLY_VOICE = frozenset({VOICE})


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "spool")


async def heard(scene: Scene, recorder, **how):
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    return list(
        voice_samples(
            scene.store, scene.keys, scene.ref, summary.object_key, summary.generation, scene.tracks[VOICE], **how
        )
    )


def pitch(samples: numpy.ndarray) -> float:
    spectrum = numpy.abs(numpy.fft.rfft(samples * numpy.hanning(len(samples))))
    return float(numpy.argmax(spectrum)) * SAMPLE_RATE / len(samples)


async def test_a_tone_comes_back_as_that_tone(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 3)
    ((start_ms, samples),) = await heard(scene, recorder)
    assert start_ms == 0 and samples.dtype == numpy.float32 and samples.ndim == 1
    assert abs(len(samples) - 3 * SAMPLE_RATE) <= 0.02 * SAMPLE_RATE
    assert abs(pitch(samples) - 440) < 2 and 0.2 < numpy.abs(samples).max() < 0.6


async def test_a_pause_starts_another_stretch_at_its_place(scene):
    recorder = scene.recorder(permit=ONLY_VOICE)
    scene.capture(recorder, 2)
    recorder.permit(frozenset(), "paused")
    scene.now += 3
    recorder.permit(ONLY_VOICE, "resumed")
    scene.capture(recorder, 2)
    stretches = await heard(scene, recorder)
    assert [start for start, _ in stretches] == [0, 5_000]
    assert all(abs(len(samples) - 2 * SAMPLE_RATE) <= 0.02 * SAMPLE_RATE for _, samples in stretches)


async def test_lost_packets_become_silence_and_move_nothing(scene):
    recorder = scene.recorder(permit=ONLY_VOICE)
    start = scene.now
    scene.capture(recorder, 6, keep=lambda frame: not 2.0 <= frame.arrived_at - start < 2.7)
    ((_, samples),) = await heard(scene, recorder)
    assert abs(len(samples) - 6 * SAMPLE_RATE) <= 0.05 * SAMPLE_RATE
    loud = numpy.abs(samples).reshape(-1)[: 6 * SAMPLE_RATE - SAMPLE_RATE // 10]
    tenths = loud[: len(loud) // 1600 * 1600].reshape(-1, 1600).max(axis=1)
    assert (tenths[:19] > 0.1).all() and (tenths[22:26] < 0.05).any() and (tenths[29:] > 0.1).all()


async def test_a_long_stretch_is_cut_to_bound_memory_and_nothing_is_missing(scene):
    recorder = scene.recorder(permit=ONLY_VOICE)
    scene.capture(recorder, 20)
    stretches = await heard(scene, recorder, longest_s=6)
    assert len(stretches) > 1 and all(len(samples) <= 7 * SAMPLE_RATE for _, samples in stretches)
    assert abs(sum(len(samples) for _, samples in stretches) - 20 * SAMPLE_RATE) <= 0.06 * SAMPLE_RATE
    at_ms = 0
    for start_ms, samples in stretches:
        assert abs(start_ms - at_ms) <= 45
        at_ms = start_ms + len(samples) * 1000 // SAMPLE_RATE


async def test_a_track_without_sound_gives_nothing(scene):
    recorder = scene.recorder(permit=frozenset({CAMERA}))
    scene.capture(recorder, 2)
    assert await heard(scene, recorder) == []
