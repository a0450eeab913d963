"""Packets come in any order, go on in order, and what is missing is asked for and at last given up."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from recordings.capture.assembly import MediaPacket
from recordings.capture.reorder import LONGEST_REPAIR, MAX_ASKS, MOST_MISSING, MOST_WAITING, Gap, ReorderBuffer


def packet(sequence: int) -> MediaPacket:
    return MediaPacket(sequence, sequence * 10, False, b"x")


def out(items: Iterable[MediaPacket | Gap]) -> list[int | Gap]:
    return [item if isinstance(item, Gap) else item.sequence for item in items]


def test_what_comes_in_order_goes_on_at_once() -> None:
    buffer = ReorderBuffer(patience_s=1)
    assert [out(buffer.add(packet(n), 0)) for n in (5, 6, 7)] == [[5], [6], [7]]
    assert buffer.ask(0) == []


def test_what_is_missing_is_asked_for_at_once_and_waited_for() -> None:
    buffer = ReorderBuffer(patience_s=1)
    buffer.add(packet(5), 0)
    assert out(buffer.add(packet(8), 0)) == []
    assert buffer.ask(0) == [6, 7]
    assert out(buffer.add(packet(7), 0.01)) == []
    assert out(buffer.add(packet(6), 0.02)) == [6, 7, 8]
    assert buffer.recovered == 2


def test_asking_is_repeated_but_not_for_ever() -> None:
    buffer = ReorderBuffer(patience_s=100)
    buffer.add(packet(1), 0)
    buffer.add(packet(3), 0)
    assert buffer.ask(0) == [2]
    assert buffer.ask(0.05) == []
    assert buffer.ask(0.06) == [2]
    assert sum(bool(buffer.ask(n / 10)) for n in range(1, 100)) == MAX_ASKS - 2


def test_what_never_comes_is_given_up_after_the_patience() -> None:
    buffer = ReorderBuffer(patience_s=1)
    buffer.add(packet(1), 0)
    buffer.add(packet(4), 0)
    assert out(buffer.expire(1.0)) == []
    assert out(buffer.expire(1.01)) == [Gap.GAP, 4]
    assert buffer.given_up == 2
    assert out(buffer.add(packet(2), 1.02)) == []  # too late
    assert out(buffer.add(packet(5), 1.03)) == [5]


def test_two_holes_are_given_up_one_after_the_other() -> None:
    buffer = ReorderBuffer(patience_s=1)
    for sequence, now in ((1, 0.0), (3, 0.0), (5, 0.5)):
        buffer.add(packet(sequence), now)
    assert out(buffer.expire(1.2)) == [Gap.GAP, 3]
    assert out(buffer.expire(1.6)) == [Gap.GAP, 5]


def test_a_duplicate_is_dropped() -> None:
    buffer = ReorderBuffer(patience_s=1)
    buffer.add(packet(1), 0)
    buffer.add(packet(3), 0)
    assert [out(buffer.add(packet(n), 0)) for n in (1, 3)] == [[], []]
    assert buffer.received == 2


def test_after_a_cut_nothing_is_asked_for() -> None:
    buffer = ReorderBuffer(patience_s=1)
    buffer.add(packet(1), 0)
    buffer.add(packet(3), 0)
    far = 4 + LONGEST_REPAIR
    assert out(buffer.add(packet(far), 10)) == [Gap.GAP, 3, Gap.GAP, far]
    assert buffer.ask(10) == []
    assert out(buffer.add(packet(far + 1), 10)) == [far + 1]


def test_16_bits_wrap() -> None:
    buffer = ReorderBuffer(patience_s=1)
    seen: list[int | Gap] = []
    for count in range(65_530, 65_546):
        seen += out(buffer.add(packet(buffer.unwrap(count & 0xFFFF)), 0))
    assert seen == list(range(65_530, 65_546))
    assert buffer.highest == 65_545


def test_a_sender_of_holes_does_not_fill_memory() -> None:
    buffer = ReorderBuffer(patience_s=1e9)
    for n in range(20_000):
        buffer.add(packet(n * 300), 0)
        assert len(buffer._missing) <= MOST_MISSING
        assert len(buffer._waiting) <= MOST_WAITING


def test_hundreds_of_holes_are_given_up_each_with_its_gap_and_its_count() -> None:
    buffer = ReorderBuffer(patience_s=1.0)
    for number in range(0, 600, 3):
        buffer.add(packet(number), 0.0)
    given = out(buffer.add(packet(597 + LONGEST_REPAIR + 1), 0.0))
    assert given == [thing for number in range(3, 600, 3) for thing in (Gap.GAP, number)] + [Gap.GAP, 1_110]
    assert buffer.given_up == 2 * 199 + LONGEST_REPAIR


@given(st.permutations(range(30)), st.sets(st.integers(1, 29), max_size=8))
def test_any_order_comes_out_rising_with_a_gap_where_something_is_lost(order: list[int], lost: set[int]) -> None:
    buffer = ReorderBuffer(patience_s=1)
    seen = out(buffer.add(packet(100), 0))
    for n in order:
        if n not in lost:
            seen += out(buffer.add(packet(101 + n), 0))
    seen += out(buffer.expire(2))
    numbers = [item for item in seen if isinstance(item, int)]
    assert numbers == [100] + [101 + n for n in range(30) if n not in lost]
    for before, item, after in zip(seen, seen[1:], seen[2:], strict=False):
        if item is Gap.GAP:
            assert isinstance(before, int) and isinstance(after, int) and after > before + 1


def test_over_a_long_way_it_is_asked_again_when_the_answer_should_have_come() -> None:
    buffer = ReorderBuffer(patience_s=10)
    buffer.add(packet(1), 0)
    for n in range(1, 20):  # each second one is lost and comes back after 0.4 s
        buffer.add(packet(2 * n + 1), n)
        assert buffer.ask(n) == [2 * n]
        buffer.add(packet(2 * n), n + 0.4)
    buffer.add(packet(41), 30)
    assert buffer.ask(30) == [40]
    assert buffer.ask(30.45) == []
    assert buffer.ask(30.55) == [40]
