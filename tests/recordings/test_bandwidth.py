"""What a sender is allowed follows the queue in front of a bottleneck, modelled here packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from recordings.capture.bandwidth import MAX_BITS_PER_SECOND, MIN_BITS_PER_SECOND, Bandwidth

PACKET = 1_200
DRAIN_S = 0.025


def way(
    bandwidth: Bandwidth,
    seconds: float,
    *,
    bottleneck: float,
    queue_s: float = 0.5,
    delay_s: Callable[[float], float] = lambda now: 0.02,
    sound_late_s: Callable[[float], float] = lambda now: 0.0,
    start: float = 0.0,
) -> Iterator[tuple[float, float, float]]:
    """A sender that keeps to what it is allowed (at most 2.5 Mbit/s), a queue, and sockets drained every 25 ms.
    Yields per drain: (time, queue in seconds, bits per second that came through in it)."""
    free_at = due = start
    arriving: list[tuple[float, float, int]] = []  # (arrival, sent, ssrc)
    now = start
    while now < start + seconds:
        now += DRAIN_S
        while due < now:
            free_at = max(free_at, due)
            if free_at - due < queue_s:
                free_at += 8 * PACKET / bottleneck
                for ssrc in (1, 2):
                    arriving.append((free_at + delay_s(due), due, ssrc))
            due += 8 * PACKET / min(bandwidth.allowed, 2_500_000)
        came = [one for one in arriving if one[0] <= now]
        arriving = [one for one in arriving if one[0] > now]
        for _, sent, ssrc in came:
            bandwidth.travelled(ssrc, now - sent + (sound_late_s(now) if ssrc == 2 else 0.0))
        for _ in came[::2]:
            bandwidth.arrived(PACKET)
        bandwidth.assess(now)
        yield now, max(0.0, free_at - now), 8 * PACKET * len(came) / 2 / DRAIN_S


def test_a_clean_way_is_never_narrowed() -> None:
    bandwidth = Bandwidth()
    assert {bandwidth.allowed for _ in way(bandwidth, 60, bottleneck=20e6)} == {MAX_BITS_PER_SECOND}


@pytest.mark.parametrize("bottleneck", [300e3, 500e3, 1_500e3])
def test_it_settles_below_a_bottleneck_and_the_queue_goes(bottleneck: float) -> None:
    bandwidth = Bandwidth()
    later = [one for one in way(bandwidth, 60, bottleneck=bottleneck) if one[0] > 15]
    through = sum(rate for _, _, rate in later) / len(later)
    assert 0.8 * bottleneck <= through <= bottleneck
    assert sum(queue for _, queue, _ in later) / len(later) < 0.1


def test_when_the_bottleneck_goes_more_is_tried() -> None:
    bandwidth = Bandwidth()
    narrow = list(way(bandwidth, 20, bottleneck=500e3))
    assert bandwidth.allowed < 600_000
    list(way(bandwidth, 40, bottleneck=20e6, start=narrow[-1][0]))
    assert bandwidth.allowed > 2_000_000


def test_a_sound_card_that_stumbles_is_no_queue() -> None:
    bandwidth = Bandwidth()
    list(way(bandwidth, 40, bottleneck=20e6, sound_late_s=lambda now: 0.09 * (now // 5)))
    assert bandwidth.allowed == MAX_BITS_PER_SECOND


def test_clocks_that_drift_apart_are_no_queue() -> None:
    bandwidth = Bandwidth()
    list(way(bandwidth, 120, bottleneck=20e6, delay_s=lambda now: 0.02 + now * 300e-6))
    assert bandwidth.allowed == MAX_BITS_PER_SECOND


def test_a_longer_way_is_no_queue_once_it_has_shown_to_be_one() -> None:
    """From a cable to a mobile network in mid-session."""
    bandwidth = Bandwidth()
    list(way(bandwidth, 90, bottleneck=20e6, delay_s=lambda now: 0.02 if now < 20 else 0.15))
    assert bandwidth.allowed > 2_000_000


@pytest.mark.parametrize(
    "fraction, expected", [(0.0, 4_000_000), (0.05, 4_000_000), (0.20, 3_600_000), (1.0, 2_000_000)]
)
def test_heavy_loss_lowers_by_half_of_it(fraction: float, expected: int) -> None:
    bandwidth = Bandwidth()
    bandwidth.lost(fraction, 10.0)
    assert bandwidth.allowed == expected


def test_it_never_falls_below_what_a_voice_and_a_small_picture_need() -> None:
    bandwidth = Bandwidth()
    for second in range(60):
        bandwidth.lost(0.9, 10.0 + 2 * second)
    assert bandwidth.allowed == MIN_BITS_PER_SECOND
