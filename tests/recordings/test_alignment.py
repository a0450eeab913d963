"""Sound and picture stand where the sender had them, to the millisecond."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from recordings.alignment import ClockPoint, take_clocks
from recordings.model import SenderReport
from tests.recordings.scene import CAMERA, NTP, START, VOICE, Scene, play

RATES = {CAMERA: 90_000, VOICE: 48_000}


def reports(kind, seconds, *, drift_ppm=0.0, jitter_s=0.0, skew_s=0.0, every_s=2.0, delay_s=0.02, seed=1):
    """Reports of a sender whose media clock runs `drift_ppm` fast and who reads it `jitter_s` late."""
    chance = random.Random(f"{seed} {kind}")
    at = 0.3
    while at < seconds:
        media = (at - chance.uniform(0, jitter_s)) * (1 + drift_ppm / 1e6)
        delay = delay_s + chance.expovariate(1 / 0.01)
        yield SenderReport(
            kind=kind, ntp=START + NTP + skew_s + at, ticks=round(media * RATES[kind]), arrived_at=START + at + delay
        )
        at += every_s


def error_ms(clock, at, drift_ppm=0.0):
    return (clock.utc(round(at * (1 + drift_ppm / 1e6) * clock.rate)) - START - at) * 1000


def arrived(seconds=0.08):
    return [ClockPoint(0, START + seconds)]


def test_two_tracks_agree_within_two_milliseconds_over_two_hours_of_drift():
    drift = {CAMERA: 0.0, VOICE: 60.0}  # a sound card that gains 0.4 s in two hours
    given = {kind: list(reports(kind, 7_200, drift_ppm=drift[kind], jitter_s=0.0015, skew_s=-431.0)) for kind in drift}
    clocks = take_clocks(given, {CAMERA: arrived(0.08), VOICE: arrived(0.03)})
    for at in (0, 1, 29, 600, 3_599.5, 7_199):
        apart = error_ms(clocks[CAMERA], at) - error_ms(clocks[VOICE], at, 60.0)
        assert abs(apart) <= 2.0
    assert abs(error_ms(clocks[CAMERA], 3_600) - 20) <= 2, "the smallest delay is what stays of the way"


def test_one_report_is_enough():
    given = {kind: list(reports(kind, 0.4)) for kind in RATES}
    clocks = take_clocks(given, {kind: arrived() for kind in RATES})
    assert abs(error_ms(clocks[CAMERA], 10) - error_ms(clocks[VOICE], 10)) < 0.1


def test_reports_of_a_broken_clock_are_left_out():
    good = list(reports(CAMERA, 60))
    bad = [SenderReport(kind=CAMERA, ntp=ntp, ticks=90_000 * 30, arrived_at=START + 30) for ntp in (1.0, 9e9, START)]
    clocks = take_clocks(
        {CAMERA: [*good, *bad], VOICE: list(reports(VOICE, 60))}, {CAMERA: arrived(0.08), VOICE: arrived(0.03)}
    )
    assert abs(error_ms(clocks[CAMERA], 30) - error_ms(clocks[VOICE], 30)) < 1


@pytest.mark.parametrize("ppm", [-80.0, 80.0])
def test_a_sender_whose_clock_runs_fast_or_slow_stays_beside_the_others(ppm):
    """Half a second in two hours: the clock that reports are written by, and the media's with it."""
    given = {kind: list(reports(kind, 7_200, drift_ppm=ppm)) for kind in RATES}
    for those in given.values():
        those[:] = [replace(one, ntp=one.ntp + (one.ntp - START - NTP) * ppm / 1e6) for one in those]
    clocks = take_clocks(given, {CAMERA: arrived(0.08), VOICE: arrived(0.03)})
    for at in (0, 1, 29, 600, 3_599.5, 7_199):
        late = [error_ms(clocks[kind], at, ppm) for kind in RATES]
        assert all(abs(one - 20) <= 6 for one in late), "what is left is the shortest way"
        assert abs(late[0] - late[1]) <= 1


def test_two_minutes_of_slow_network_move_nothing():
    """Reports that take half a second longer stand between others that do not."""
    slow = {
        kind: [
            replace(one, arrived_at=one.arrived_at + (0.5 if 300 < one.ntp - START - NTP < 420 else 0.0))
            for one in reports(kind, 900)
        ]
        for kind in RATES
    }
    clocks = take_clocks(slow, {CAMERA: arrived(0.08), VOICE: arrived(0.03)})
    assert all(abs(error_ms(clocks[CAMERA], at) - 20) <= 15 for at in (1, 310, 360, 410, 890))


def test_ticks_that_contradict_the_arrival_are_not_believed():
    lying = [
        SenderReport(kind=CAMERA, ntp=START + NTP + s, ticks=90_000 * (s + 900), arrived_at=START + s) for s in range(9)
    ]
    clock = take_clocks({CAMERA: lying}, {CAMERA: arrived(0.05)})[CAMERA]
    assert abs(error_ms(clock, 3) - 50) < 0.01


def test_without_reports_arrival_decides():
    clocks = take_clocks({}, {CAMERA: arrived(0.08), VOICE: arrived(0.03)})
    assert abs(error_ms(clocks[CAMERA], 5) - 80) < 0.01 and abs(error_ms(clocks[VOICE], 5) - 30) < 0.01


def test_a_sound_device_that_slept_is_a_step_and_not_a_slope():
    """Ticks stop for a minute while the sender's clock goes on."""
    before = list(reports(VOICE, 100, delay_s=0.0))
    after = [
        SenderReport(kind=VOICE, ntp=r.ntp + 60, ticks=r.ticks, arrived_at=r.arrived_at + 60)
        for r in reports(VOICE, 200, delay_s=0.0)
        if r.ticks > 100 * 48_000
    ]
    clock = take_clocks({VOICE: before + after}, {VOICE: arrived(0.0)})[VOICE]
    assert abs(error_ms(clock, 99)) < 5
    assert abs(error_ms(clock, 110) - 60_000) < 5


@pytest.mark.parametrize("reports_come", [True, False])
async def test_in_the_file_sound_and_picture_are_in_step_by_reports_and_off_without(tmp_path, reports_come):
    scene = Scene(tmp_path / "spool", skew_s=12_345.678)
    recorder = scene.recorder()
    scene.capture(recorder, 4, reports=reports_come)
    recorder.close()
    await scene.store_all()
    played = play(b"".join(scene.view(scene.finalise()).read()))
    apart = played["video"][0].at_ms - played["audio"][0].at_ms
    assert abs(apart) <= 1 if reports_come else abs(apart - 50) <= 1  # latencies 80 and 30 ms
