"""The pure rules around the speech model."""

from __future__ import annotations

import numpy as np
import pytest

from workers.speech import BLOCK_SECONDS, SAMPLE_RATE, blocks, coverage, trustworthy


def test_a_short_stretch_stays_whole() -> None:
    samples = np.ones(SAMPLE_RATE, dtype=np.float32)
    [(start, block)] = list(blocks([(700, samples)]))
    assert start == 700
    assert block is samples or np.array_equal(block, samples)


def test_a_long_stretch_is_cut_at_the_quiet_moment_and_nothing_is_lost() -> None:
    samples = np.ones((BLOCK_SECONDS + 60) * SAMPLE_RATE, dtype=np.float32)
    quiet = (BLOCK_SECONDS - 7) * SAMPLE_RATE
    samples[quiet : quiet + SAMPLE_RATE] = 0
    (first_ms, first), (second_ms, second) = list(blocks([(0, samples)]))
    assert first_ms == 0
    assert quiet <= len(first) <= quiet + SAMPLE_RATE
    assert len(first) + len(second) == len(samples)
    assert second_ms == len(first) * 1000 // SAMPLE_RATE


@pytest.mark.parametrize(
    "speech, cues, share",
    [
        ([], [], 1.0),
        ([(0, 1000)], [], 0.0),
        ([(0, 1000)], [(0, 500), (400, 750)], 0.75),
        ([(0, 1000), (2000, 3000)], [(0, 3000)], 1.0),
    ],
)
def test_coverage_is_the_share_of_voice_that_words_cover(speech, cues, share) -> None:
    assert coverage(speech, cues) == pytest.approx(share)


@pytest.mark.parametrize(
    "no_speech, log_probability, compression, kept",
    [(0.1, -0.2, 1.5, True), (0.95, -0.9, 1.5, False), (0.95, -0.2, 1.5, True), (0.1, -0.2, 2.6, False)],
)
def test_invented_lines_are_dropped(no_speech, log_probability, compression, kept) -> None:
    assert trustworthy(no_speech=no_speech, log_probability=log_probability, compression=compression) is kept
