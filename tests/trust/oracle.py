"""What the clicks alone say: which frames a consent covered when they were sent. Knows nothing of the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recordings.model import PersonId, TrackKind


@dataclass(frozen=True, kw_only=True)
class Will:
    """What one person has clicked. lines: kinds of their present connection whose track stands: taking a consent back
    closes it, and only another connection opens a new one."""

    admitted: bool = False
    consents: frozenset[TrackKind] = frozenset()
    paused: bool = False
    lines: frozenset[TrackKind] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Wills:
    """What everybody in the room has clicked. recording: what the researcher has."""

    recording: bool = False
    of: Mapping[PersonId, Will] = field(default_factory=dict)

    def changed(self, person: PersonId, **values: Any) -> Wills:
        return replace(self, of={**self.of, person: replace(self.of.get(person, Will()), **values)})

    def cover(self, person: PersonId, kind: TrackKind) -> bool:
        will = self.of[person]
        return self.recording and will.admitted and not will.paused and kind in will.consents & will.lines


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A frame. late: it waited for lost packets; covered: None while a click was on its way."""

    mark: bytes
    person: PersonId
    kind: TrackKind
    late: bool
    covered: bool | None


@dataclass
class Oracle:
    """settling: all that may hold while a click is on its way; the last one alone once it has arrived."""

    settling: list[Wills] = field(default_factory=lambda: [Wills()])
    sent: list[Sent] = field(default_factory=list)
    withdrawn: set[bytes] = field(default_factory=set)

    @property
    def now(self) -> Wills:
        return self.settling[-1]

    def settle(self) -> None:
        del self.settling[:-1]

    def cover(self, person: PersonId, kind: TrackKind) -> bool | None:
        said = {wills.cover(person, kind) for wills in self.settling}
        return said.pop() if len(said) == 1 else None

    def withdraw(self, person: PersonId, kind: TrackKind) -> None:
        """All that was sent of this kind until now has to go."""
        self.withdrawn |= {one.mark for one in self.sent if (one.person, one.kind) == (person, kind)}

    def forbidden(self) -> set[bytes]:
        return {one.mark for one in self.sent if one.covered is False}

    def required(self) -> set[bytes]:
        """What was covered and came in order is there, unless it was taken back later."""
        return {one.mark for one in self.sent if one.covered and not one.late} - self.withdrawn

    def told(self, marks: Iterable[bytes]) -> list[Sent]:
        """These frames, for a message."""
        wanted = set(marks)
        return [one for one in self.sent if one.mark in wanted]
