"""The state of a recording and of a transcript in words. Pure functions; nothing fails silently."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from math import ceil, floor

from app.database import Columns
from app.decisions import Decision
from app.language import N_, _, gettext, ngettext
from app.sessions.models import Recording, RecordingState, Transcript, TranscriptState
from recordings.model import TrackKind

MISSING_WORDS: Mapping[str, str] = {
    TrackKind.CAMERA: N_("no camera: not one picture arrived that could be played"),
    TrackKind.VOICE: N_("no voice: no sound arrived"),
    TrackKind.SCREEN: N_("no screen: not one picture arrived that could be played"),
}
"""A kind that was sent and left nothing. The sound of a tab is often just silent, so it is not missed."""

FILE_MISSING = N_("The file is missing")
"""Reason of failure where the rows stand and the objects do not (app.privacy.erasing.orphans)."""

LEAST_SHARE = 0.04
LEAST_RUN = timedelta(seconds=4)


def recording_words(
    row: Recording | Columns, decision: Decision, *, something_erased: bool, was_recording: bool
) -> str:
    """decision: whether it may be seen, with its reason; was_recording: the session was recorded at all."""
    state = RecordingState(row.state)
    if decision:
        if state is RecordingState.CAPTURED:
            return _("Stored; what is still missing is being made ready")
        return _("Stored; the connection broke, the gap is marked") if row.interrupted else _("Stored")
    if state is RecordingState.EMPTY and something_erased:
        return _("Erased")  # taken back while it was recorded: nothing is left, but something was there
    if state is RecordingState.EMPTY and was_recording and row.erased_at is None:
        return _("Empty: not one picture or sound arrived that could be played")
    reason = gettext(decision.reason).rstrip(".")
    if state is RecordingState.FAILED and row.failure_reason:
        return _("The file is missing") if row.failure_reason == FILE_MISSING else f"{reason}: {row.failure_reason}"
    return reason


def missing_words(kinds: Collection[str]) -> tuple[str, ...]:
    """Of the kinds that were sent and of which not one frame can be played."""
    return tuple(gettext(MISSING_WORDS[kind]) for kind in kinds if kind in MISSING_WORDS)


def transcript_words(transcript: Transcript | Columns | None, now: datetime) -> str:
    """ "" when none was asked for."""
    if transcript is None:
        return ""
    match TranscriptState(transcript.state):
        case TranscriptState.WAITING if transcript.failure_reason:
            return _("will be tried again by itself: %(reason)s", reason=transcript.failure_reason)
        case TranscriptState.WAITING:
            return _("waits for its turn")
        case TranscriptState.RUNNING:
            return running_words(transcript.progress, transcript.began_at, now)
        case TranscriptState.READY:
            return ready_words(transcript.words or 0, transcript.coverage)
        case TranscriptState.FAILED:
            return _("failed: %(reason)s", reason=gettext(transcript.failure_reason or N_("the reason is not known")))
        case TranscriptState.ERASED:
            return _("erased")


def running_words(share: float, began_at: datetime | None, now: datetime) -> str:
    """transcribing, 40 %, about 2 minutes left."""
    said = _("transcribing, %(percent)s %%", percent=round(share * 100))
    left = time_left(share, now - began_at) if began_at else None
    if left is None:
        return said
    minutes = ceil(left / timedelta(minutes=1))
    if minutes <= 1:
        more = _("less than a minute left")
    else:
        more = ngettext("about %(n)s minute left", "about %(n)s minutes left", minutes)
    return f"{said}, {more}"


def time_left(share: float, running: timedelta) -> timedelta | None:
    """At the speed so far; None while that is not known well enough to say anything."""
    if share < LEAST_SHARE or running < LEAST_RUN:
        return None
    return running * ((1 - share) / share)


def ready_words(words: int, coverage: float | None) -> str:
    """ready, 120 words; they cover 93 % of the time somebody spoke. coverage: None when nobody spoke."""
    if not words:
        silent = coverage is None or coverage >= 1
        return _("nobody spoke") if silent else _("somebody spoke, but no words could be made out")
    said = ngettext("ready, %(n)s word", "ready, %(n)s words", words)
    if coverage is None:
        return said
    if coverage >= 1:
        found = ngettext("it covers all of the time somebody spoke", "they cover all of the time somebody spoke", words)
    else:
        found = ngettext(
            "it covers %(percent)s %% of the time somebody spoke",
            "they cover %(percent)s %% of the time somebody spoke",
            words,
            percent=floor(coverage * 100),
        )
    return f"{said}; {found}"
