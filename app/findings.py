"""What a look at the platform finds: how one thing is, in plain words, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    GOOD = "good"
    NOTE = "note"  # works, but read this
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and how to mend it."""

    about: str
    state: State
    says: str
    mend: str = ""


class Broken(Exception):
    """Raised by a check; `mend` says what to do."""

    def __init__(self, says: str, mend: str) -> None:
        super().__init__(says)
        self.mend = mend


class Note(Broken):
    """As Broken, but the platform works."""


def look(about: str, check: Callable[[], str]) -> Finding:
    """One check as a finding; what it returns is good news."""
    try:
        return Finding(about=about, state=State.GOOD, says=check())
    except Note as note:
        return Finding(about=about, state=State.NOTE, says=str(note), mend=note.mend)
    except Broken as broken:
        return Finding(about=about, state=State.BROKEN, says=str(broken), mend=broken.mend)
