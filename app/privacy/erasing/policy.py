"""Rules of erasing: what a withdrawal takes along, what counts as the same request, when to try again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from app.privacy.records.models import ErasureState
from app.sessions.policy import CONSENT_TRACKS, RecordingFacts, is_held
from app.studies.clocks import Kind
from app.studies.models import ConsentKind
from recordings.model import TrackKind

TRANSCRIPT = "transcript"
"""Beside the track kinds, what an erasure of kinds may name: the written words, not the sound."""

ERASED_WITH: Mapping[Kind, tuple[str, ...]] = {
    Kind.VIDEO: (TrackKind.CAMERA,),
    Kind.AUDIO: (TrackKind.VOICE, TRANSCRIPT),
    Kind.SCREEN: (TrackKind.SCREEN, TrackKind.SCREEN_SOUND),
    Kind.TRANSCRIPT: (TRANSCRIPT,),
}
"""What an erasure by date names for a kind with a clock of its own."""

OPEN_STATES = frozenset({ErasureState.ASKED, ErasureState.RUNNING, ErasureState.PARTIAL, ErasureState.HELD})
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)


def kinds_withdrawn(kind: ConsentKind) -> frozenset[str]:
    """What is erased when consent to `kind` is withdrawn: its tracks, and words when they come from these."""
    words = {TRANSCRIPT} if kind in (ConsentKind.AUDIO, ConsentKind.TRANSCRIPT) else set()
    return frozenset({*CONSENT_TRACKS[kind], *words})


QUOTED = frozenset({ConsentKind.AUDIO, ConsentKind.TRANSCRIPT})
"""What a note written down while somebody spoke may quote."""


def stays_noted(*, leaving: bool, last_words: Mapping[ConsentKind, bool]) -> bool:
    """Do a session's notes stay for the sake of this one who took part? Not of somebody of whom everything goes, nor
    who took back what notes may quote. last_words: kind -> whether what they said last of it was yes."""
    return not leaving and all(last_words.get(kind, True) for kind in QUOTED)


def after_holds(until: datetime | None, beside: Iterable[RecordingFacts], now: datetime) -> datetime | None:
    """When notes go: with their session's date, but not while a hold keeps a recording they may belong to."""
    lasting = [one.held_until for one in beside if one.erased_at is None and is_held(one, now)]
    if until is None or None in lasting:
        return None
    return max([until, *(one for one in lasting if one is not None)])


def due_again(state: ErasureState, tries: int, tried_at: datetime | None, now: datetime) -> bool:
    """May an unfinished erasure be tried now? At once the first time; then after 1, 2, 4 … minutes, at most 6 h."""
    if state not in OPEN_STATES:
        return False
    if tried_at is None:
        return True
    pause: timedelta = min(FIRST_PAUSE * int(2 ** min(max(tries - 1, 0), 16)), LONGEST_PAUSE)
    return now >= tried_at + pause
