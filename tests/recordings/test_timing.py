"""Clocks: wrap-around, NTP, and tracks on one timeline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.model import SenderReport, TrackKind
from recordings.timing import (
    Arrival,
    TickCount,
    align,
    fit_clock,
    ntp_seconds,
    ntp_to_utc,
    unwrap,
    unwrap_sequence,
    unwrap_ticks,
    utc_to_ntp,
)

CAMERA, VOICE = TrackKind.CAMERA, TrackKind.VOICE
START = 1_800_000_000.0


def report(kind: TrackKind, ticks: int, sender_utc: float, arrived_at: float | None = None) -> SenderReport:
    at = sender_utc + 0.01 if arrived_at is None else arrived_at
    return SenderReport(kind=kind, ntp=utc_to_ntp(sender_utc), ticks=ticks, arrived_at=at)


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
    assert ntp_to_utc(ntp_seconds(2_208_988_800 << 32 | 1 << 31)) == 0.5
    assert ntp_to_utc(utc_to_ntp(START)) == START


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


def test_one_report_is_enough() -> None:
    clock = fit_clock([report(CAMERA, 90_000, START)])
    assert clock.at(180_000) == pytest.approx(START + 1)


def test_over_hours_the_true_speed_of_a_sound_card_is_found() -> None:
    """100 ppm off, told with 1 ms of jitter, would be 1 s off after three hours at the nominal rate."""
    rate = 48_000 * (1 + 100e-6)
    reports = [
        report(VOICE, int(second * rate), START + second + 0.001 * (second % 2)) for second in range(0, 10_800, 5)
    ]
    clock = fit_clock(reports)
    assert clock.at(int(10_800 * rate)) == pytest.approx(START + 10_800, abs=0.002)


def test_a_few_seconds_of_reports_do_not_bend_the_clock() -> None:
    reports = [report(CAMERA, 90_000 * second, START + second + 0.001 * second % 3) for second in range(5)]
    assert fit_clock(reports).ticks_per_second == 90_000


def test_a_broken_reporter_does_not_bend_the_clock() -> None:
    reports = [report(CAMERA, 90_000 * second, START + 2 * second) for second in range(60)]
    assert fit_clock(reports).ticks_per_second == 90_000


def test_tracks_of_one_sender_are_aligned_by_its_clock_not_by_arrival() -> None:
    """The picture arrives 80 ms late (encoder, pacing): its reports say when it was taken."""
    sender_ahead_s = 1_234.5
    reports = [report(CAMERA, 90_000 + 90_000 * n, START + n + sender_ahead_s, START + n + 0.020) for n in range(3)] + [
        report(VOICE, 48_000 * n, START + n + sender_ahead_s, START + n + 0.005) for n in range(3)
    ]
    clocks = align(
        [Arrival(kind=CAMERA, ticks=90_000, utc=START + 0.100), Arrival(kind=VOICE, ticks=0, utc=START + 0.020)],
        reports,
    )
    assert clocks[CAMERA].at(90_000) == pytest.approx(clocks[VOICE].at(0), abs=1e-6)
    assert clocks[VOICE].at(0) == pytest.approx(START + 0.005, abs=1e-6)  # the server's clock, fastest report


def test_a_track_without_reports_is_placed_by_arrival() -> None:
    clocks = align([Arrival(kind=VOICE, ticks=960, utc=START)], [])
    assert clocks[VOICE].at(960 + 48_000) == START + 1


def test_a_report_without_a_clock_is_ignored() -> None:
    unset = SenderReport(kind=VOICE, ntp=0.0, ticks=5, arrived_at=START)
    assert align([Arrival(kind=VOICE, ticks=960, utc=START)], [unset])[VOICE].at(960) == START
