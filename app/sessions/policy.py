"""Rules of a research session and of what it leaves: who may join, what may be recorded, what may be seen
and until when. Pure functions of values and `now`; room, library and privacy ask the same ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.decisions import ALLOWED, Decision, refused
from app.language import N_
from app.sessions.models import RecordingState, SessionState
from app.studies.clocks import shortest
from app.studies.models import ConsentKind
from recordings.model import STREAM_TRACKS, StreamKind, TrackKind

CONSENT_TRACKS: dict[ConsentKind, frozenset[TrackKind]] = {
    ConsentKind.VIDEO: frozenset({TrackKind.CAMERA}),
    ConsentKind.AUDIO: frozenset({TrackKind.VOICE}),
    ConsentKind.SCREEN: frozenset({TrackKind.SCREEN, TrackKind.SCREEN_SOUND}),
    ConsentKind.TRANSCRIPT: frozenset(),  # of the voice that was recorded; allows no recording by itself
}


MEMBER_CONSENTS = frozenset({ConsentKind.VIDEO, ConsentKind.AUDIO})
"""What a member's one switch allows; a member's screen is shown, never recorded."""


class Switch(StrEnum):
    """What the researcher set for the whole session."""

    OFF = "off"
    ON = "on"
    PAUSED = "paused"


class Step(StrEnum):
    """What a researcher can do to a session."""

    OPEN = "open the room"
    START = "start recording"
    PAUSE = "pause recording"
    RESUME = "resume recording"
    END = "end the session"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a session stands."""

    state: SessionState
    recording: Switch = Switch.OFF


_SCHEDULED = Standing(state=SessionState.SCHEDULED)
_OPEN = Standing(state=SessionState.LIVE)
_ON = Standing(state=SessionState.LIVE, recording=Switch.ON)
_PAUSED = Standing(state=SessionState.LIVE, recording=Switch.PAUSED)
_ENDED = Standing(state=SessionState.ENDED)

_NEXT: dict[Step, dict[Standing, Standing]] = {
    Step.OPEN: {_SCHEDULED: _OPEN},
    Step.START: {_OPEN: _ON},
    Step.PAUSE: {_ON: _PAUSED},
    Step.RESUME: {_PAUSED: _ON},
    Step.END: {_SCHEDULED: _ENDED, _OPEN: _ENDED, _ON: _ENDED, _PAUSED: _ENDED},
}


def next_standing(step: Step, now_standing: Standing) -> Standing | Decision:
    """Where `step` leads from here, or a refusal with its reason."""
    following = _NEXT[step].get(now_standing)
    if following is not None:
        return following
    if now_standing.state is SessionState.ENDED:
        return refused("This session has already ended.")
    if now_standing.state is SessionState.SCHEDULED:
        return refused("The room is not open yet.")
    if step is Step.OPEN:
        return refused("The room is already open.")
    return refused(
        {
            Switch.OFF: N_("Nothing is being recorded yet."),
            Switch.ON: N_("This session is being recorded already."),
            Switch.PAUSED: N_("The recording is paused; resume it instead."),
        }[now_standing.recording]
    )


@dataclass(frozen=True, kw_only=True)
class JoinFacts:
    """What decides whether a participant may enter the room."""

    state: SessionState
    registered: bool
    revoked: bool
    expires_at: datetime
    admitted: bool
    erased: bool = False


def may_join(facts: JoinFacts, now: datetime) -> Decision:
    """May this participant send and receive media in the room now?"""
    if facts.erased:
        return refused("Everything about you has been erased, so this link no longer works.")
    if facts.revoked:
        return refused("This invitation was withdrawn.")
    if not facts.registered:
        return refused("Please confirm your name and e-mail address first.")
    if facts.state is SessionState.ENDED:
        return refused("This session has ended.")
    if now >= facts.expires_at:
        return refused("This invitation has expired.")
    if facts.state is SessionState.SCHEDULED:
        return refused("The room is not open yet. Please wait here; this page goes on by itself.")
    if not facts.admitted:
        return refused("Please wait until you are let in.")
    return ALLOWED


def consented_tracks(consents: Collection[ConsentKind]) -> frozenset[TrackKind]:
    """The kinds of tracks these consents cover."""
    return frozenset().union(*(CONSENT_TRACKS[kind] for kind in consents))


def may_publish(stream: StreamKind, offered: Collection[TrackKind], consents: Collection[ConsentKind]) -> Decision:
    """May a stream with these tracks come into the room at all? A kind that was not agreed to is refused
    at signalling, not filtered later."""
    if not offered or not set(offered) <= set(STREAM_TRACKS[stream]):
        return refused("This connection offers nothing that belongs to this stream.")
    missing = set(offered) - consented_tracks(consents)
    if missing:
        names = ", ".join(sorted(kind.replace("_", " ") for kind in missing))
        return refused(f"There is no consent to this kind: {names}.")
    return ALLOWED


def allowed_kinds(
    *, consents: Collection[ConsentKind], recording: Switch, paused_by_participant: bool, state: SessionState
) -> frozenset[TrackKind]:
    """What may be recorded of a person at this moment; every chunk is measured by it."""
    if state is not SessionState.LIVE or recording is not Switch.ON or paused_by_participant:
        return frozenset()
    return consented_tracks(consents)


def member_consents(recorded: bool, study_kinds: Collection[ConsentKind]) -> frozenset[ConsentKind]:
    """What a member who has themselves recorded allows: picture and voice, as far as the study records them."""
    return MEMBER_CONSENTS & frozenset(study_kinds) if recorded else frozenset()


def may_switch_self(state: SessionState) -> Decision:
    """May a member still decide whether they are recorded?"""
    return refused("This session has ended.") if state is SessionState.ENDED else ALLOWED


def may_write_down(
    *,
    study_kinds: Collection[ConsentKind],
    own: Collection[ConsentKind] | None,
    participants: Iterable[Collection[ConsentKind]],
) -> bool:
    """May a recorded voice be transcribed? own: what the participant agreed to, None for a member, who agreed by
    having themselves recorded. A member's words are written down as one side of a dialogue only: when at least
    one participant of the session allowed theirs."""
    words = {ConsentKind.AUDIO, ConsentKind.TRANSCRIPT}
    if ConsentKind.TRANSCRIPT not in study_kinds:
        return False
    return words <= set(own) if own is not None else any(words <= set(one) for one in participants)


@dataclass(frozen=True, kw_only=True)
class RecordingFacts:
    """What decides whether a recording may be seen, and when it goes. indexed: what was made ready before is
    still whole, though more is on its way. idle_until: the date that counts from the last activity."""

    state: RecordingState
    created_at: datetime
    indexed: bool = False
    session_ended_at: datetime | None = None
    held_reason: str | None = None
    held_until: datetime | None = None
    restricted_at: datetime | None = None
    hidden_at: datetime | None = None
    erased_at: datetime | None = None
    session_retention_days: int | None = None
    person_retention_days: int | None = None
    idle_until: datetime | None = None


def after_days(start: datetime, days: int | None, idle_until: datetime | None) -> datetime | None:
    """The end of retention: so many days after the start or, where that is earlier, after the last activity;
    None: until someone asks."""
    ends = [] if days is None else [start + timedelta(days=days)]
    return min([*ends, *([] if idle_until is None else [idle_until])], default=None)


def after_last(start: datetime, last_active: datetime | None, idle_days: int | None) -> datetime | None:
    """When what began or ended at `start` goes, so many days after its person's last activity. The same in SQL:
    idle_until (revision 0003)."""
    return None if idle_days is None else max(start, last_active or start) + timedelta(days=idle_days)


def keep_until(facts: RecordingFacts, retention_days: int | None) -> datetime | None:
    """The end of retention, counted from the end of the session; None: until someone asks.
    retention_days: of the study; a session's own or the person's may be shorter, never longer."""
    days = shortest(retention_days, facts.session_retention_days, facts.person_retention_days)
    return after_days(facts.session_ended_at or facts.created_at, days, facts.idle_until)


def is_held(facts: RecordingFacts, now: datetime) -> bool:
    """A hold stops erasure until its review date (for good when it has none)."""
    return facts.held_reason is not None and (facts.held_until is None or now < facts.held_until)


def due(facts: RecordingFacts, retention_days: int | None, now: datetime) -> datetime | None:
    """When this is erased by itself: the end of retention, or of a hold that lasts longer. None: not by itself.
    A restriction keeps it too (GDPR Art. 18(2): storing is all that may be done) until it is lifted."""
    until = keep_until(facts, retention_days)
    if until is None or facts.erased_at is not None or facts.restricted_at is not None:
        return None
    if is_held(facts, now):
        return max(until, facts.held_until) if facts.held_until else None
    return until


NOTE_AFTER_END = timedelta(minutes=10)
"""A sentence begun in the session may be finished after it."""


def may_note(state: SessionState, ended_at: datetime | None, now: datetime, *, erased: bool) -> Decision:
    """Is there a moment of the session that a note could keep? erased: everything recorded in it has gone."""
    if erased and state is SessionState.ENDED:
        return refused("This session has been erased.")
    if state is SessionState.SCHEDULED:
        return refused("The room is not open yet, so there is no moment to keep.")
    if state is SessionState.ENDED and (ended_at is None or now >= ended_at + NOTE_AFTER_END):
        return refused("This session has ended, so there is no moment to keep.")
    return ALLOWED


def note_moment(
    now: datetime, written: timedelta, *, started_at: datetime | None, ended_at: datetime | None
) -> datetime:
    """When the writing began, `written` before now, but never outside the session."""
    began = now - max(written, timedelta(0))
    if ended_at is not None:
        began = min(began, ended_at)
    return max(began, started_at) if started_at is not None else began


def note_until(
    at: datetime, ended_at: datetime | None, retention_days: int | None, idle_until: datetime | None = None
) -> datetime | None:
    """Notes are kept as long as recordings may be; None: until the session is erased."""
    return after_days(ended_at or at, retention_days, idle_until)


def readable(facts: RecordingFacts, retention_days: int | None, now: datetime) -> Decision:
    """May anyone see this now? What is past its date is unreadable at once, swept or not, held or not."""
    until = keep_until(facts, retention_days)
    if facts.erased_at is not None or facts.state is RecordingState.ERASED:
        return refused("This recording has been erased.")
    if until is not None and now >= until:
        return refused("This recording was kept until its date and is being erased.")
    if facts.hidden_at is not None:
        return refused("This recording is not shown any more: it is being erased.")
    if facts.restricted_at is not None:
        return refused("This recording is kept and not shown: the participant asked for that.")
    if facts.state is RecordingState.STORED or (facts.state is RecordingState.CAPTURED and facts.indexed):
        return ALLOWED
    return refused(
        {
            RecordingState.CAPTURING: N_("This is still being recorded."),
            RecordingState.CAPTURED: N_("This recording is being made ready."),
            RecordingState.EMPTY: N_("Nothing was recorded here."),
            RecordingState.FAILED: N_("This recording could not be made ready."),
        }[facts.state]
    )
