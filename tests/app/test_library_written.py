"""A transcript to take along: the time of every word in WebVTT, gaps in every format, and nothing breaks out of it."""

from __future__ import annotations

import io
import re

import pytest
import webvtt

from app.library.gaps import REASONS, Gap, gaps_of, of_voice
from app.library.lines import Line, in_time, spoken
from app.library.transcripts import NO_WORDS, TranscriptCue, TranscriptWord
from app.library.written import to_srt, to_txt, to_vtt
from recordings import gaps
from recordings.model import TrackKind


def said(start_ms: int, end_ms: int, text: str, *words: tuple[int, str]) -> TranscriptCue:
    timed = [TranscriptWord(start_ms=at, end_ms=at + 100, text=word) for at, word in words]
    return TranscriptCue(start_ms=start_ms, end_ms=end_ms, text=text, words=timed)


ROUGH: tuple[Line, ...] = (
    spoken(said(0, 900, "Hello --> <v Eve>"), "Anna"),
    spoken(said(1000, 1000, "again\n\nNOTE x"), "Anna"),
    spoken(said(3_661_001, 3_662_000, "Yes."), "Ben"),
)
LAMP = said(1000, 2000, "I like the  lamp, really.", (1000, "I"), (1200, "like"), (1400, "the"), (1500, "lamp,"))
GAP = Gap(from_ms=2000, to_ms=5000, why=gaps.NOT_CONNECTED, name="Anna")
DIALOGUE = in_time([GAP, spoken(LAMP, "Anna"), spoken(said(1700, 6000, "Why?", (1700, "Why?")), "Ben")])


def test_words_cannot_break_out_of_webvtt() -> None:
    text = to_vtt(ROUGH)
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.900\n<v Anna>Hello --&gt; &lt;v Eve&gt;\n\n")
    assert "00:00:01.000 --> 00:00:01.001\n<v Anna>again NOTE x" in text
    assert "01:01:01.001 --> 01:01:02.000" in text
    assert len(webvtt.from_buffer(io.StringIO(text)).captions) == len(ROUGH)


def test_a_name_cannot_break_out_of_its_span() -> None:
    line = spoken(said(0, 900, "Hi"), "A>b\n\nNOTE &")
    assert "<v A&gt;b NOTE &amp;>Hi\n" in to_vtt([line])


def test_every_word_of_webvtt_has_its_time_and_a_gap_is_a_comment() -> None:
    text = to_vtt(DIALOGUE)
    assert "<v Anna>I <00:00:01.200>like <00:00:01.400>the <00:00:01.500>lamp, really.\n" in text
    assert "\n\nNOTE Anna, gap of 3 s: not connected (00:00:02.000 to 00:00:05.000)\n" in text
    assert [c.text for c in webvtt.from_buffer(io.StringIO(text)).captions] == ["I like the lamp, really.", "Why?"]


def test_times_inside_a_line_only_grow_and_stay_inside_it() -> None:
    """As §3.3 of WebVTT demands, whatever the model said."""
    line = spoken(said(1000, 2000, "a b c d e", (900, "a"), (1500, "b"), (1400, "c"), (2500, "d"), (2600, "e")), "")
    inside = re.findall(r"<([\d:.]+)>", to_vtt([line]))
    assert inside == ["00:00:01.500"]


@pytest.mark.parametrize(
    ("text", "words", "pieces"),
    [
        ("Hello, you there.", ["Hello,", "you", "there."], ["Hello, ", "you ", "there."]),
        ("no times at all", [], ["no times at all"]),
        ("well, a word that was not found", ["well,", "zebra", "word"], ["well, a ", "word that was not found"]),
        ("「はい、そうです」", ["はい、", "そう", "です"], ["「はい、", "そう", "です」"]),
        ("the the the", ["the", "the", "the"], ["the ", "the ", "the"]),
        ("", ["ghost"], [""]),
    ],
)
def test_a_line_is_cut_into_its_words_and_loses_no_character(text: str, words: list[str], pieces: list[str]) -> None:
    line = spoken(said(0, 9000, text, *((100 * n, word) for n, word in enumerate(words))), "Anna", 500)
    assert [piece.text + piece.after for piece in line.pieces] == pieces
    assert line.text == text
    assert line.start_ms == 500 and all(piece.at_ms >= 500 for piece in line.pieces)


def test_srt_and_txt_for_reading() -> None:
    assert to_srt(ROUGH).startswith("1\n00:00:00,000 --> 00:00:00,900\nAnna: Hello --> <v Eve>\n\n2\n")
    assert to_txt(ROUGH) == "[00:00:00] Anna\nHello --> <v Eve> again NOTE x\n\n[01:01:01] Ben\nYes.\n"


def test_srt_and_txt_say_where_something_is_missing() -> None:
    assert "3\n00:00:02,000 --> 00:00:05,000\n[Anna, gap of 3 s: not connected]\n" in to_srt(DIALOGUE)
    assert to_txt(DIALOGUE) == (
        "[00:00:01] Anna\nI like the lamp, really.\n\n"
        "[00:00:01] Ben\nWhy?\n\n"
        "[00:00:02] (Anna, gap of 3 s: not connected)\n"
    )


def test_every_reason_the_recorder_gives_has_words() -> None:
    assert {gaps.NOT_CONNECTED, gaps.INTERRUPTED, gaps.LOST, gaps.NOTHING_CAME, NO_WORDS} <= set(REASONS)
    assert Gap(from_ms=0, to_ms=400, why="something new").told == "gap of less than a second: something new"
    assert Gap(from_ms=62_000, to_ms=65_000, why=NO_WORDS).words.startswith("No words 1:02 – 1:05: somebody spoke")


@pytest.mark.parametrize(
    ("kind", "told", "words"),
    [
        (
            TrackKind.VOICE,
            "voice missing for 3 s: lost on the network",
            "Voice missing 0:02 – 0:05: lost on the network",
        ),
        (TrackKind.CAMERA, "picture missing for 3 s: lost on the network", "Picture missing 0:02 – 0:05: lost on the"),
        (
            TrackKind.SCREEN_SOUND,
            "sound missing for 3 s: lost on the network",
            "Sound missing 0:02 – 0:05: lost on the",
        ),
        (None, "gap of 3 s: lost on the network", "Gap 0:02 – 0:05: lost on the network"),
    ],
)
def test_a_gap_says_what_is_missing(kind: TrackKind | None, told: str, words: str) -> None:
    gap = Gap(from_ms=2000, to_ms=5000, why=gaps.LOST, kind=kind)
    assert gap.told == told and gap.words.startswith(words)
    assert Gap(from_ms=2000, to_ms=2400, why=gaps.LOST).words == "Gap 0:02: lost on the network"


def test_of_a_row_only_what_may_be_shown_is_told_and_an_older_row_reads_as_before() -> None:
    stored = [
        {"from_ms": 5000, "to_ms": 6000, "why": "paused"},
        {"from_ms": 1000, "to_ms": 2000, "why": gaps.LOST, "kind": "voice"},
        {"from_ms": 3000, "to_ms": 4000, "why": gaps.LOST, "kind": "camera"},
    ]
    both = {TrackKind.CAMERA, TrackKind.VOICE}
    assert [gap.kind for gap in gaps_of(stored, both)] == [TrackKind.VOICE, TrackKind.CAMERA, None]
    assert [gap.kind for gap in gaps_of(stored, {TrackKind.CAMERA})] == [TrackKind.CAMERA, None]
    assert [gap.kind for gap in gaps_of(stored[:1], both)] == [None]


def test_a_transcript_has_the_gaps_of_its_voice_each_in_one_piece() -> None:
    everything, voice = None, TrackKind.VOICE
    found = [
        Gap(from_ms=0, to_ms=900, why=gaps.LOST, kind=TrackKind.CAMERA),
        Gap(from_ms=1000, to_ms=2000, why=gaps.LOST, kind=voice),
        Gap(from_ms=2000, to_ms=3000, why=gaps.LOST, kind=everything),
        Gap(from_ms=3000, to_ms=4000, why=gaps.LOST, kind=voice),
        Gap(from_ms=4000, to_ms=5000, why="paused", kind=everything),
        Gap(from_ms=6000, to_ms=7000, why="paused", kind=everything),
    ]
    assert [(gap.from_ms, gap.to_ms, gap.kind) for gap in of_voice(found)] == [
        (1000, 4000, voice),
        (4000, 5000, everything),
        (6000, 7000, everything),
    ]
