"""The pure rules around the speech model."""

from __future__ import annotations

import pytest

from workers.speech import coverage, trustworthy


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
