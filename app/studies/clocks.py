"""Clocks: each kind of what is held has its own, and of all levels that set one the shortest wins.

A level (account, study, session, participant) says how long everything may stay, and may say less for a kind. The
account's is written into its studies, a participant's into what is theirs, so that every row says for itself.
Days count from the end of the session; those under IDLE, of everything, from the participant's last session in the
study. What results first is the date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.language import N_
from recordings.model import TrackKind


class Kind(StrEnum):
    """ALL: whatever belongs to a session; the others go no later than it."""

    ALL = "all"
    VIDEO = "video"
    AUDIO = "audio"
    SCREEN = "screen"  # with the sound of the shared tab
    TRANSCRIPT = "transcript"
    ANSWERS = "answers"
    CONTACT = "contact"  # name and address
    CONSENTS = "consents"
    LOGS = "logs"


class Anchor(StrEnum):
    """From when a clock counts."""

    SESSION_END = "end of the session"  # until it ended: from when the item was made
    LAST_ACTIVITY = "last activity"  # of the person, once nothing else of theirs is held
    ACCOUNT_END = "end of the account"


class Ending(StrEnum):
    """What is done when a clock runs out."""

    ERASE = "erase"
    ANONYMISE = "anonymise"  # whatever leads to the person goes with their key; what is left leads to nobody
    KEEP_IDS = "keep ids"  # never held more than ids, dates and kinds


OFFERED = (Ending.ERASE, Ending.ANONYMISE)
"""Of answers an owner may choose between these, study by study: faces, voices and words always go (tallies)."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """words: the kind, as people read it."""

    words: str
    anchor: Anchor = Anchor.SESSION_END
    ending: Ending = Ending.ERASE


CLOCKS: Mapping[Kind, Clock] = {
    Kind.VIDEO: Clock(words=N_("camera picture")),
    Kind.AUDIO: Clock(words=N_("voice")),
    Kind.SCREEN: Clock(words=N_("screen")),
    Kind.TRANSCRIPT: Clock(words=N_("transcript")),
    Kind.ANSWERS: Clock(words=N_("answers")),
    Kind.CONTACT: Clock(words=N_("name and address"), anchor=Anchor.LAST_ACTIVITY, ending=Ending.ANONYMISE),
    Kind.CONSENTS: Clock(words=N_("consents"), anchor=Anchor.ACCOUNT_END, ending=Ending.KEEP_IDS),
    Kind.LOGS: Clock(words=N_("audit log"), anchor=Anchor.ACCOUNT_END, ending=Ending.KEEP_IDS),
}
"""Every kind but ALL (docs/decisions/0017-clocks-per-kind.md)."""

PARTS = (Kind.VIDEO, Kind.AUDIO, Kind.SCREEN, Kind.TRANSCRIPT)
"""What a recording is made of."""
OF_A_SESSION = (*PARTS, Kind.ANSWERS)
"""Kinds that a level may keep shorter than the rest."""

KIND_OF_TRACK: Mapping[str, Kind] = {
    TrackKind.CAMERA: Kind.VIDEO,
    TrackKind.VOICE: Kind.AUDIO,
    TrackKind.SCREEN: Kind.SCREEN,
    TrackKind.SCREEN_SOUND: Kind.SCREEN,
}

IDLE = "idle"
"""Beside the kinds: days of everything after the participant's last activity in the study (Anchor.LAST_ACTIVITY)."""

Periods = Mapping[str, int]
"""Kind -> days, of what is kept shorter on one level; and IDLE."""

_COUNTED: Mapping[Kind, tuple[Kind, ...]] = {
    Kind.ALL: (Kind.ALL,),
    Kind.TRANSCRIPT: (Kind.ALL, Kind.AUDIO, Kind.TRANSCRIPT),  # words go with the voice they were heard from
}


def shortest(*days: int | None) -> int | None:
    """Of the clocks set on several levels the shortest wins; None: nobody set one."""
    return min((each for each in days if each is not None), default=None)


def days_of(kind: Kind, days: int | None, *levels: Periods) -> int | None:
    """How long a kind is kept. days: of everything; levels: what each says of kinds. None: until somebody asks.
    The same in SQL: kept_days (revision 0003)."""
    counted = _COUNTED.get(kind, (Kind.ALL, kind))
    return shortest(days, *(level.get(each) for level in levels for each in counted))


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How long something is kept by all levels: days after its session, and after the last activity; None: not so."""

    days: int | None
    idle: int | None


def idle_days(*levels: Periods) -> int | None:
    return shortest(*(level.get(IDLE) for level in levels))


def kept_by(kind: Kind, days: int | None, *levels: Periods) -> Kept:
    return Kept(days=days_of(kind, days, *levels), idle=idle_days(*levels))


def shortest_of(*levels: Periods) -> dict[str, int]:
    """One level instead of several: of each kind the shortest."""
    named = {kind for one in levels for kind in one}
    return {kind: min(one[kind] for one in levels if kind in one) for kind in named}


@dataclass(frozen=True, kw_only=True)
class Level:
    """What one level says. days: of everything, None: until somebody asks; periods: of kinds."""

    days: int | None = None
    periods: Periods = field(default_factory=dict)

    def of(self, kind: Kind) -> int | None:
        return days_of(kind, self.days, self.periods)

    @property
    def idle(self) -> int | None:
        return idle_days(self.periods)


def anything_shorter(before: Level, after: Level) -> bool:
    """May any kind go earlier than before? The last activity is never before the end of the session, so counting as
    many days from it shortens nothing."""
    pairs = [(before.of(kind), after.of(kind)) for kind in (Kind.ALL, *OF_A_SESSION, Kind.CONTACT)]
    pairs.append((shortest(before.days, before.idle), after.idle))
    return any(becomes is not None and (was is None or becomes < was) for was, becomes in pairs)
