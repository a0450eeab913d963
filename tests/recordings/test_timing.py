"""Clocks: wrap-around, NTP, and tracks on one timeline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.model import TrackKind
from recordings.timing import (
    FROM_1900_TO_1970_S,
    TickCount,
    ntp_seconds,
    unwrap,
    unwrap_sequence,
    unwrap_ticks,
)

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
START = 1_800_000_000.0


@pytest.mark.parametrize(
    "value, near, expected",
    [
        (0, 65_535, 65_536),
        (65_535, 65_536, 65_535),
        (5, 5, 5),
        (32_768, 0, 32_768),
        (32_769, 0, -32_767),
        (3, 10 * 65_536, 10 * 65_536 + 3),
    ],
)
def test_a_sequence_number_is_read_as_the_nearest_one(value: int, near: int, expected: int) -> None:
    assert unwrap_sequence(value, near) == expected


def test_an_rtp_timestamp_wraps_every_13_hours() -> None:
    assert unwrap_ticks(10, (1 << 32) - 10) == (1 << 32) + 10
    assert unwrap_ticks((1 << 32) - 10, (1 << 32) + 10) == (1 << 32) - 10


@given(st.integers(0, 1 << 60), st.integers(-32_767, 32_768))
def test_unwrapping_undoes_wrapping(near: int, step: int) -> None:
    assert unwrap((near + step) & 0xFFFF, near, 16) == near + step


def test_ntp_counts_from_1900_in_32_bit_fractions() -> None:
    assert ntp_seconds(2_208_988_800 << 32 | 1 << 31, 0.0) == 2_208_988_800.5


END_OF_ERA = (1 << 32) - FROM_1900_TO_1970_S
"""7 February 2036, 06:28:16 UTC (RFC 5905 figure 4)."""


@pytest.mark.parametrize("ahead", [-40, -0.5, 0, 0.5, 40])
@pytest.mark.parametrize("at", [-20, 0, 20, 1_000_000_000])
def test_an_era_of_ntp_ends_without_a_jump(at: float, ahead: float) -> None:
    """A sender's clock is a little ahead or behind, and either may be in the new era first (RFC 5905 §6)."""
    moment = END_OF_ERA + at + ahead + FROM_1900_TO_1970_S
    assert ntp_seconds(int(moment * 2**32) & (1 << 64) - 1, END_OF_ERA + at) == moment


def test_ticks_only_grow_and_a_wrap_is_not_a_jump() -> None:
    count = TickCount(90_000)
    first = count.at((1 << 32) - 3_000, 0.0)
    assert count.at(0, 1 / 30) == first + 3_000
    assert count.of((1 << 32) - 3_000) == first


@pytest.mark.parametrize("timestamp", [2_000_000_000, 1_000_000_000 - 90_000 * 10])
def test_a_clock_that_jumps_goes_on_as_time_passed(timestamp: int) -> None:
    count = TickCount(90_000)
    first = count.at(1_000_000_000, 100.0)
    assert count.at(timestamp, 102.0) == first + 180_000
    assert count.at(timestamp + 3_000, 102.03) == first + 183_000


def test_a_pause_of_the_sender_is_no_jump() -> None:
    count = TickCount(90_000)
    first = count.at(500, 0.0)
    assert count.at(500 + 90_000 * 3_600, 3_600.0) == first + 90_000 * 3_600


def test_nothing_is_known_before_the_first_packet() -> None:
    assert TickCount(90_000).of(5) is None


def test_a_clock_that_runs_away_in_small_steps_gains_no_more_than_in_one() -> None:
    count, most = TickCount(90_000), int(TickCount.MOST_AHEAD_S * 90_000)
    ticks = [count.at(number * most % 2**32, number * 0.03) for number in range(300)]
    assert ticks == sorted(ticks)
    assert ticks[-1] <= most + 300 * 0.03 * 90_000
    assert count.at((299 * most + 2_700) % 2**32, 9.0) == ticks[-1] + 2_700, "an honest step counts again"


def test_hours_of_an_honest_clock_change_nothing() -> None:
    count = TickCount(48_000)
    for number in range(0, 1_000_000, 7):
        assert count.at(number * 960 % 2**32, number * 0.0199999) == number * 960
