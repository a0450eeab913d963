"""Packets as they come -> packets in order, with what to ask for again and what to give up (pure: `now` comes in).

Asked for at once, again when the answer should have come (then slower), given up after the buffer's patience. A gap
so long that asking for all of it would be a storm of its own (a cut network) is given up at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from recordings.capture.assembly import MediaPacket
from recordings.timing import unwrap_sequence

ASK_AGAIN_AFTER_S = 0.06
MAX_ASKS = 20
LONGEST_REPAIR = 512
"""Packets; senders keep about 600 to 1,000 packets to send again, 2.5 s of 720p video."""
MOST_WAITING = 1_024
MOST_MISSING = 1_024


class Gap(Enum):
    """Stands in the output where packets were given up."""

    GAP = "gap"


@dataclass(slots=True)
class _Asked:
    since: float
    ask_at: float
    asked_at: float = 0.0
    times: int = 0


class ReorderBuffer:
    """One SSRC's packets. Counts: `received`, `recovered` (came after being asked for), `given_up`."""

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._next: int | None = None
        self._highest = 0
        self._waiting: dict[int, MediaPacket] = {}
        self._missing: dict[int, _Asked] = {}
        self._answered_after_s = 0.0
        self.first = 0
        self.received = 0
        self.recovered = 0
        self.given_up = 0

    @property
    def highest(self) -> int:
        """The highest sequence number seen, unwrapped."""
        return self._highest

    def unwrap(self, sequence: int) -> int:
        """A 16-bit sequence number in this stream's count."""
        if self._next is None:
            return sequence
        if sequence == self._next & 0xFFFF:  # as nearly always
            return self._next
        return unwrap_sequence(sequence, self._highest)

    def misses(self, number: int) -> bool:
        """True if the packet with this unwrapped sequence number is waited for."""
        return number in self._missing

    def begin_before(self, sequence: int, count: int, now: float) -> None:
        """The stream began up to `count` packets before its first one seen, `sequence`: those are waited for too."""
        self.first = self._highest = sequence
        self._next = sequence - count
        for lost in range(sequence - count, sequence):
            self._missing[lost] = _Asked(since=now, ask_at=now)

    def add(self, packet: MediaPacket, now: float) -> Iterable[MediaPacket | Gap]:
        """Takes a packet in; gives what can go on, in order. Duplicates and what came too late are dropped."""
        sequence = packet.sequence
        if self._next is None:
            self._next = self.first = self._highest = sequence
        if sequence < self._next or sequence in self._waiting:
            return ()
        self.received += 1
        if self._missing and (asked := self._missing.pop(sequence, None)) is not None:
            self.recovered += 1
            if asked.times == 1:  # which of several was answered cannot be known
                self._answered_after_s += (now - asked.asked_at - self._answered_after_s) / 4
        if sequence == self._next:
            self._next = sequence + 1
            if sequence > self._highest:
                self._highest = sequence
            return (packet, *self._in_order()) if self._waiting else (packet,)
        return self._out_of_order(packet, now)

    def ask(self, now: float) -> list[int]:
        """The sequence numbers to ask for at this moment; asking is remembered."""
        if not self._missing:
            return []
        due = [s for s, asked in self._missing.items() if asked.ask_at <= now and asked.times < MAX_ASKS]
        for sequence in due:
            asked = self._missing[sequence]
            asked.times += 1
            asked.asked_at = now
            patience = max(ASK_AGAIN_AFTER_S, 1.25 * self._answered_after_s)
            asked.ask_at = now + patience * (1 if asked.times < 4 else 2)
        return due

    def expire(self, now: float) -> Iterable[MediaPacket | Gap]:
        """Gives up what was missing for too long; gives what can go on behind it."""
        if not self._missing:
            return ()
        out: list[MediaPacket | Gap] = []
        # in order of sequence, so the first entry is the oldest hole
        while self._missing and now - next(iter(self._missing.values())).since > self._patience_s:
            out += self._skip()
        return out

    def _out_of_order(self, packet: MediaPacket, now: float) -> Iterable[MediaPacket | Gap]:
        sequence = packet.sequence
        out: list[MediaPacket | Gap] = []
        if sequence - self._highest > LONGEST_REPAIR:
            while self._missing:
                out += self._skip()
            self.given_up += sequence - self._highest - 1
            self._next = sequence + 1
            self._highest = sequence
            return [*out, Gap.GAP, packet]
        self._waiting[sequence] = packet
        for lost in range(self._highest + 1, sequence):
            self._missing[lost] = _Asked(since=now, ask_at=now)
        self._highest = max(self._highest, sequence)
        while len(self._waiting) > MOST_WAITING or len(self._missing) > MOST_MISSING:
            out += self._skip()
        return out

    def _skip(self) -> Iterator[MediaPacket | Gap]:
        """Gives up the oldest hole and goes on with the first packet behind it: from the next number to the highest,
        each is missing or waits."""
        while self._next is not None and self._missing.pop(self._next, None) is not None:
            self._next += 1
            self.given_up += 1
        yield Gap.GAP
        yield from self._in_order()

    def _in_order(self) -> Iterator[MediaPacket]:
        while self._next is not None and (packet := self._waiting.pop(self._next, None)):
            self._next += 1
            yield packet
