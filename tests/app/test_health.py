"""Numbers and the one calm word about a stream, from counters."""

from __future__ import annotations

import pytest

from app.room.health import (
    CALM_S,
    OVER_READINGS,
    SETTLED_S,
    Kept,
    Pulse,
    Rates,
    Why,
    Word,
    rates,
    stored_up_to,
)
from recordings.capture.chunks import CHUNK_S
from recordings.capture.loudness import _POWER
from recordings.capture.recorder import CaptureState
from recordings.capture.traffic import Traffic
from recordings.capture.uploader import ALARM_S

RECORDING = CaptureState.RECORDING
SECOND = Traffic(received=257, bytes=240_000, pictures=30, sounds=50, levels=50, power=50 * _POWER[30])
"""What a second of camera and voice brings."""
QUIET = Traffic(received=257, bytes=240_000, pictures=30, sounds=50, levels=50)


class Scene:
    """A stream read once a second."""

    def __init__(self, *, has_camera: bool = True, has_microphone: bool = True) -> None:
        self.pulse = Pulse(has_camera=has_camera, has_microphone=has_microphone)
        self.now, self.total = 1_000.0, Traffic()
        self.words: list[Word] = []
        self.pulse.read(self.total, RECORDING, 0.0, self.now)

    def go(
        self, seconds: float, brings: Traffic = SECOND, state: CaptureState = RECORDING, late_s: float = 0.0
    ) -> Word:
        for _ in range(int(seconds)):
            self.now += 1
            self.total += brings
            self.pulse.read(self.total, state, late_s, self.now)
            self.words.append(self.pulse.word(self.now))
        return self.words[-1]


def test_rates_are_differences_of_counters_over_time() -> None:
    new = Traffic(received=980, lost=20, bytes=500_000, pictures=59, sounds=100, levels=100, power=100 * _POWER[27])
    found = rates(new, 2.0)
    assert (found.bits_per_s, found.lost, found.pictures_per_s, found.heard) == (2_000_000, 0.02, 29.5, True)
    assert found.level == pytest.approx(-27, abs=0.01)
    assert rates(Traffic(), 2.0) == Rates(heard=False)
    assert rates(new, 0.0) == Rates()


def test_a_stream_that_arrives_and_is_stored_is_good_from_its_first_second() -> None:
    scene = Scene()
    scene.go(2, SECOND + Traffic(lost=32))  # what was sent before its first packet
    scene.go(30)
    assert set(scene.words) == {Word.GOOD}
    assert scene.pulse.why == []
    assert scene.pulse.rates.bits_per_s == pytest.approx(1_920_000)
    assert scene.pulse.rates.pictures_per_s == pytest.approx(30)
    assert scene.pulse.rates.level == pytest.approx(-30, abs=0.01)
    assert scene.pulse.silent_s(scene.now) == 0


@pytest.mark.parametrize(
    ("brings", "why"),
    [
        (SECOND + Traffic(lost=5), [Why.LOSS]),
        (SECOND - Traffic(pictures=24), [Why.FEW_PICTURES]),
        (Traffic(), [Why.NOTHING]),
    ],
)
def test_a_weak_stream_says_why_and_is_good_again_only_after_a_calm_while(brings: Traffic, why: list[Why]) -> None:
    scene = Scene()
    scene.go(SETTLED_S)
    assert scene.go(OVER_READINGS, brings) is Word.WEAK
    assert scene.pulse.why == why
    assert scene.go(CALM_S - 1) is Word.WEAK, "it does not flicker"
    assert scene.go(OVER_READINGS + 2) is Word.GOOD


def test_what_is_repaired_is_no_loss() -> None:
    scene = Scene()
    assert scene.go(30, SECOND + Traffic(recovered=20, asked=25)) is Word.GOOD


def test_a_screen_that_stands_still_and_a_camera_that_is_off_are_not_weak() -> None:
    screen = Scene(has_camera=False)
    assert screen.go(20, Traffic(received=5, bytes=4_000, pictures=2)) is Word.GOOD
    voice_only = Scene()
    assert voice_only.go(20, SECOND - Traffic(pictures=30)) is Word.GOOD


@pytest.mark.parametrize(
    ("state", "late_s", "why"),
    [
        (CaptureState.FULL, 0.0, Why.NO_ROOM),
        (CaptureState.WAITING, 0.0, Why.NOTHING_KEPT),
        (RECORDING, ALARM_S + 1, Why.LATE),
    ],
)
def test_what_is_not_stored_is_said_whatever_the_network_does(state: CaptureState, late_s: float, why: Why) -> None:
    scene = Scene()
    scene.go(SETTLED_S)
    assert scene.go(CALM_S + 3, SECOND + Traffic(lost=5), state, late_s) is Word.NOT_STORED
    assert why in scene.pulse.why
    assert scene.go(1) is Word.WEAK


def test_a_stream_that_is_not_to_be_recorded_or_waits_a_moment_is_no_alarm() -> None:
    scene = Scene()
    assert scene.go(30, state=CaptureState.IDLE, late_s=ALARM_S) is Word.GOOD
    assert scene.go(CALM_S, state=CaptureState.WAITING) is Word.GOOD


@pytest.mark.parametrize(
    "silence",
    [
        QUIET,
        Traffic(received=207, bytes=230_000, pictures=30),  # nothing comes from the microphone
        Traffic(received=257, bytes=230_000, pictures=30, sounds=50, pauses=50),  # a sender that says no level
    ],
)
def test_silence_of_a_microphone_is_counted_until_it_is_heard(silence: Traffic) -> None:
    scene = Scene()
    scene.go(5)
    scene.go(10, silence)
    assert scene.pulse.silent_s(scene.now) == 10
    assert scene.words[-1] is Word.GOOD, "it is told beside the word"
    scene.go(1)
    assert scene.pulse.silent_s(scene.now) == 0


def test_what_cannot_be_known_without_decoding_is_no_silence() -> None:
    scene = Scene()
    scene.go(30, Traffic(received=257, bytes=240_000, pictures=30, sounds=50))
    assert (scene.pulse.rates.level, scene.pulse.silent_s(scene.now)) == (None, 0)
    no_microphone = Scene(has_microphone=False)
    no_microphone.go(30, Traffic(received=207, bytes=230_000, pictures=30))
    assert no_microphone.pulse.silent_s(no_microphone.now) == 0


@pytest.mark.parametrize(
    ("tracks", "up_to"),
    [
        ([], None),
        ([Kept(last_at=10, stored=None)], None),
        ([Kept(last_at=10, stored=8)], 8 - CHUNK_S),
        ([Kept(last_at=10, stored=8), Kept(last_at=10, stored=6)], 6 - CHUNK_S),
        ([Kept(last_at=10, stored=8), Kept(last_at=10, stored=None)], None),
        ([Kept(last_at=10, stored=8), Kept(last_at=3, stored=4)], 8 - CHUNK_S),  # its voice was withdrawn long ago
        ([Kept(last_at=9, stored=9), Kept(last_at=3, stored=4)], 9),  # nothing is waiting any more
    ],
)
def test_stored_up_to_is_never_more_than_what_is_stored(tracks: list[Kept], up_to: float | None) -> None:
    assert stored_up_to(tracks) == up_to
