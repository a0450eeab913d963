"""Rounds of the poller: one busy or faulty stream holds up neither the others nor the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from recordings.capture import aiortc_internals
from recordings.capture.aiortc_internals import LONGEST_ROUND_S, MOST_PER_ROUND, MediaTransport
from recordings.capture.faults import Faults, faults
from recordings.capture.poller import SLICE_S, Poller


class Polled:
    def __init__(self, drain: Callable[[], object] = lambda: None, tick: Callable[[], object] = lambda: None) -> None:
        self.drained = self.ticked = 0
        self._drain, self._tick = drain, tick

    def drain(self) -> None:
        self.drained += 1
        self._drain()

    def tick(self) -> None:
        self.ticked += 1
        self._tick()


async def turns(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0.001)


def broken() -> None:
    raise LookupError("ours")


async def test_a_fault_of_one_stream_is_counted_and_the_others_and_its_own_ticks_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds, before = Poller(asyncio.get_running_loop()), faults.count
    faulty, sound = Polled(broken), Polled()
    for one in (faulty, sound):
        rounds.add(one)
    await turns(lambda: sound.ticked >= 3 and not rounds._left)  # at the end of a round, which may have been cut in two
    for one in (faulty, sound):
        rounds.remove(one)
    assert sound.drained == faulty.drained and faulty.ticked == sound.ticked
    assert faults.count == before + faulty.drained
    assert len(caplog.records) < faulty.drained


def test_a_fault_in_every_round_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    some = Faults()
    assert [some.survived(broken) for _ in range(1_000)] == [False] * 1_000 and some.survived(lambda: None)
    assert some.count == 1_000 and len(caplog.records) == 10


async def test_a_round_that_takes_long_lets_others_in_between() -> None:
    """By a clock of the loop that only the streams turn: each takes a good half of a slice."""
    loop, order = asyncio.get_running_loop(), list[str]()
    now = 0.0
    seen = SimpleNamespace(time=lambda: now, call_at=lambda when, run: run, call_soon=loop.call_soon)

    def busy(name: str) -> Callable[[], None]:
        def drain() -> None:
            nonlocal now
            now += 0.6 * SLICE_S
            order.append(name)

        return drain

    rounds = Poller(seen)  # type: ignore[arg-type]
    streams = [Polled(busy(str(number))) for number in range(6)]
    for one in streams:
        rounds.add(one)
    seen.call_at = lambda when, run: loop.call_soon(order.append, "end")  # one round only
    loop.call_soon(rounds._run)
    while "end" not in order:
        await asyncio.sleep(0)
        order.append("others")
    assert [name for name in order if name != "others"] == [*"012345", "end"]
    assert "".join(order).replace("others", " ").split()[:3] == ["01", "23", "45"]


async def test_a_stream_removed_in_the_middle_of_a_round_is_not_polled_any_more() -> None:
    rounds = Poller(asyncio.get_running_loop())
    second = Polled()
    first = Polled(lambda: rounds.remove(second))
    for one in (first, second):
        rounds.add(one)
    await turns(lambda: first.drained > 0)
    rounds.remove(first)
    assert second.drained == 0


@pytest.mark.parametrize("each_s, taken", [(0.0, MOST_PER_ROUND), (LONGEST_ROUND_S / 4, 4), (1.0, 1)])
def test_one_busy_peer_is_left_after_a_while_however_much_waits(
    monkeypatch: pytest.MonkeyPatch, each_s: float, taken: int
) -> None:
    """The clock turns with each datagram; what is not taken is there in the next round."""
    now = 0.0
    monkeypatch.setattr(aiortc_internals, "perf_counter", lambda: now)
    came: list[bytes] = []
    batches: list[int] = []

    def take(datagram: bytes, address: object) -> None:
        nonlocal now
        now += each_s
        came.append(datagram)

    def arrive(buffer: bytearray) -> tuple[int, None]:
        buffer[:4] = bytes(4)  # STUN by its first byte (RFC 7983); the buffer is one for the whole process
        return 4, None

    transport = MediaTransport.__new__(MediaTransport)
    endless = SimpleNamespace(recvfrom_into=arrive)
    transport._sockets = [(SimpleNamespace(datagram_received=take), endless)]  # type: ignore[list-item]
    transport._on_batch = lambda: batches.append(len(came))
    transport._closed = False
    for rounds in (1, 2):
        transport.drain()
        assert len(came) == taken * rounds == batches[-1]
