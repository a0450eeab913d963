"""The pure rules around the speech model."""

from __future__ import annotations

import pytest

from workers.speech import (
    SAMPLE_RATE,
    TURN_MS,
    Cue,
    Heard,
    Word,
    coverage,
    transcribe_stretches,
    trustworthy,
    turns,
    unheard,
)


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


def cue(text: str, *starts: int) -> Cue:
    """Words of 200 ms each."""
    words = tuple(Word(start_ms=at, end_ms=at + 200, text=word) for at, word in zip(starts, text.split(), strict=True))
    return Cue(start_ms=starts[0], end_ms=starts[-1] + 200, text=text, words=words)


def test_a_long_silence_makes_two_turns_of_a_line_and_a_short_one_does_not() -> None:
    said = cue("Do you cook? Do you bake?", 0, 300, 600, 800 + TURN_MS, 1100 + TURN_MS, 1400 + TURN_MS)
    first, second = turns(said)
    assert (first.text, first.start_ms, first.end_ms) == ("Do you cook?", 0, 800)
    assert (second.text, second.start_ms, second.end_ms) == ("Do you bake?", 800 + TURN_MS, said.end_ms)
    assert first.words + second.words == said.words
    hurried = cue("Do you cook?", 0, 300, 499 + TURN_MS)
    assert turns(hurried) == (hurried,)


def test_a_line_whose_words_are_unknown_or_elsewhere_stays_whole() -> None:
    bare = Cue(start_ms=0, end_ms=9000, text="Yes.", words=())
    assert turns(bare) == (bare,)
    other = Cue(
        start_ms=0,
        end_ms=9000,
        text="Yes. No.",
        words=(Word(start_ms=0, end_ms=100, text="Yes."), Word(start_ms=8000, end_ms=8100, text="Never.")),
    )
    assert turns(other) == (other,)


@pytest.mark.parametrize(
    "speech, cues, gaps",
    [
        ([], [], ()),
        ([(0, 5000)], [], ((0, 5000),)),
        ([(0, 5000)], [(-400, 900), (1800, 6000)], ()),  # nobody misses less than a second
        ([(0, 5000), (7000, 9000)], [(1000, 2000)], ((0, 1000), (2000, 5000), (7000, 9000))),
    ],
)
def test_a_voice_without_words_is_a_gap(speech, cues, gaps) -> None:
    assert unheard(speech, cues) == gaps


def test_progress_moves_inside_a_stretch_and_silence_has_no_coverage() -> None:
    said: list[float] = []

    class Model:
        name, country = "model", ""

        def hear(self, samples, *, start_ms, language, heard_until) -> Heard:
            heard_until(start_ms + 300)
            return Heard(cues=(), speech=())

    stretches = [(0, [0.0] * SAMPLE_RATE), (1000, [0.0] * SAMPLE_RATE)]
    heard = transcribe_stretches(Model(), stretches, language="en", total_ms=2000, on_progress=said.append)
    assert said == [0.15, 0.5, 0.65, 0.99]
    assert (heard.coverage, heard.unheard) == (None, ())
