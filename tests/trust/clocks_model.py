"""Retention counted by hand: items as plain numbers, and nothing of the application's rules.

Seconds from a beginning; every clock that anybody has set is a number of days, from the end of the session or ("idle")
from the person's last session in the study, and the first date counts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from uuid import UUID

DAY = 86_400
YEARS = 10 * 365 * DAY
STATES = ("capturing", "captured", "stored", "stored", "stored", "failed", "empty")
PARTS = ("video", "audio", "transcript")
TRACKS = {"video": "camera", "audio": "voice"}
LONGEST = 4 * 365


@dataclass(eq=False)
class Study:
    id: UUID
    days: int | None
    periods: dict[str, int]


@dataclass(eq=False)
class Session:
    id: UUID
    study: Study
    begun: int
    ended: int | None
    days: int | None
    periods: dict[str, int]


@dataclass(eq=False)
class Item:
    """A recording, or (answers) a response. held: a hold, until held_until or for good. parts: kind -> "held", "asked"
    (its erasure was asked for) or "gone". last: when the person's last session in the study ended (take_notice)."""

    id: UUID
    session: Session
    person: UUID
    made: int
    state: str
    periods: dict[str, int]
    answers: bool = False
    held: bool = False
    held_until: int | None = None
    restricted: bool = False
    gone: bool = False
    last: int = 0
    parts: dict[str, str] = field(default_factory=dict)

    def end(self, kind: str) -> int | None:
        """When nobody may see this kind any more; "all": of everything."""
        session, study = self.session, self.session.study
        start = self.made if session.ended is None else session.ended
        dates = [start + days * DAY for days in (session.days, study.days) if days is not None]
        for level in (self.periods, session.periods, study.periods):
            for name, days in level.items():
                if name in ("all", kind) or (name == "audio" and kind == "transcript"):
                    dates.append(start + days * DAY)
                if name == "idle":
                    dates.append(max(start, self.last) + days * DAY)
        return min(dates, default=None)

    def due(self, kind: str, now: int) -> bool:
        """Is it to be erased now?"""
        end = self.end(kind)
        if self.gone or self.restricted or end is None or now < end:
            return False
        return not (self.held and (self.held_until is None or now < self.held_until))

    def whole(self) -> str:
        return "answers" if self.answers else "all"

    def parts_due(self, now: int) -> set[str]:
        """Kinds that go now while the rest stays."""
        if self.answers or self.gone or self.state == "empty" or self.due("all", now):
            return set()
        return {kind for kind, there in self.parts.items() if there == "held" and self.due(kind, now)}


def take_notice(items: list[Item]) -> None:
    """Of every person the last session of each study that anything was recorded of them in, erased since or not."""
    last: dict[tuple[UUID, UUID], int] = {}
    for one in items:
        if not one.answers:
            ended = one.session.begun if one.session.ended is None else one.session.ended
            key = (one.session.study.id, one.person)
            last[key] = max(last.get(key, ended), ended)
    for one in items:
        one.last = last[one.session.study.id, one.person]


def some_days(rng: random.Random, often: float) -> int | None:
    return rng.randrange(1, LONGEST) if rng.random() < often else None


def some_periods(rng: random.Random, often: float, *kinds: str) -> dict[str, int]:
    return {kind: rng.randrange(1, LONGEST) for kind in kinds if rng.random() < often}


def invented(rng: random.Random, count: int) -> tuple[list[Study], list[Session], list[Item]]:
    """Ten years of studies: what begins when, under which clocks."""

    def known() -> UUID:
        return UUID(int=rng.getrandbits(128))

    studies = [
        Study(known(), some_days(rng, 0.7), some_periods(rng, 0.3, *PARTS, "answers", "idle"))
        for _ in range(max(count // 250, 4))
    ]
    people = [known() for _ in range(max(count // 4, 40))]
    sessions = []
    for _ in range(max(count // 8, 4)):
        begun = rng.randrange(YEARS)
        ended = begun + rng.randrange(5 * DAY) if rng.random() < 0.9 else None
        periods = some_periods(rng, 0.05, *PARTS, "answers", "idle")
        sessions.append(Session(known(), rng.choice(studies), begun, ended, some_days(rng, 0.2), periods))
    items: list[Item] = []
    there: set[tuple[UUID, UUID]] = set()
    while len(there) < count:
        session, person = rng.choice(sessions), rng.choice(people)
        if (session.id, person) in there:
            continue
        there.add((session.id, person))
        own = some_periods(rng, 0.03, "all", *PARTS, "idle")
        item = Item(known(), session, person, session.begun, rng.choice(STATES), own)
        item.parts = {kind: "held" for kind in PARTS if rng.random() < 0.8}
        if "audio" not in item.parts:
            item.parts.pop("transcript", None)
        items.append(item)
        if rng.random() < 0.1:
            written = (session.ended or session.begun) + rng.randrange(60 * DAY)
            own = {name: days for name, days in item.periods.items() if name in ("all", "idle")}
            items.append(Item(known(), session, item.person, written, "", own, answers=True))
    return studies, sessions, items
