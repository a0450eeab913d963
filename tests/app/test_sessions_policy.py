"""The rules of joining, recording, keeping and seeing, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from app.decisions import Decision
from app.sessions.models import RecordingState, SessionState
from app.sessions.policy import (
    JoinFacts,
    RecordingFacts,
    Standing,
    Step,
    Switch,
    allowed_kinds,
    due,
    may_join,
    may_publish,
    may_switch_self,
    may_write_down,
    member_consents,
    next_standing,
    readable,
)
from app.studies.models import ConsentKind
from recordings.model import StreamKind, TrackKind

NOW = datetime(2027, 5, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LIVE, ENDED, SCHEDULED = SessionState.LIVE, SessionState.ENDED, SessionState.SCHEDULED
CAMERA, VOICE, SCREEN, SOUND = TrackKind.CAMERA, TrackKind.VOICE, TrackKind.SCREEN, TrackKind.SCREEN_SOUND
VIDEO, AUDIO = ConsentKind.VIDEO, ConsentKind.AUDIO


ROUTE = {
    (SCHEDULED, Switch.OFF): {Step.OPEN: (LIVE, Switch.OFF), Step.END: (ENDED, Switch.OFF)},
    (LIVE, Switch.OFF): {Step.START: (LIVE, Switch.ON), Step.END: (ENDED, Switch.OFF)},
    (LIVE, Switch.ON): {Step.PAUSE: (LIVE, Switch.PAUSED), Step.END: (ENDED, Switch.OFF)},
    (LIVE, Switch.PAUSED): {Step.RESUME: (LIVE, Switch.ON), Step.END: (ENDED, Switch.OFF)},
    (ENDED, Switch.OFF): {},
}


@pytest.mark.parametrize("start", ROUTE)
@pytest.mark.parametrize("step", Step)
def test_a_session_moves_only_along_its_route(start: tuple[SessionState, Switch], step: Step) -> None:
    following = next_standing(step, Standing(state=start[0], recording=start[1]))
    expected = ROUTE[start].get(step)
    if expected is None:
        assert isinstance(following, Decision)
        assert not following
        assert following.reason
    else:
        assert following == Standing(state=expected[0], recording=expected[1])


JOIN = JoinFacts(state=LIVE, registered=True, revoked=False, expires_at=NOW + DAY, admitted=True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, None),
        ({"registered": False}, "confirm"),
        ({"revoked": True}, "withdrawn"),
        ({"expires_at": NOW}, "expired"),
        ({"state": SCHEDULED}, "not open"),
        ({"state": ENDED}, "ended"),
        ({"admitted": False}, "let in"),
        ({"erased": True}, "erased"),
    ],
)
def test_who_may_join(change: dict[str, object], word: str | None) -> None:
    decision = may_join(replace(JOIN, **change), NOW)  # type: ignore[arg-type]
    assert bool(decision) is (word is None)
    assert word is None or word in decision.reason


@pytest.mark.parametrize("size", range(len(ConsentKind) + 1))
def test_recorded_is_exactly_what_is_consented(size: int) -> None:
    covers = {VIDEO: {CAMERA}, AUDIO: {VOICE}, ConsentKind.SCREEN: {SCREEN, SOUND}, ConsentKind.TRANSCRIPT: set()}
    for consents in combinations(ConsentKind, size):
        kinds = allowed_kinds(consents=consents, recording=Switch.ON, paused_by_participant=False, state=LIVE)
        assert kinds == {kind for consent in consents for kind in covers[consent]}


@pytest.mark.parametrize(
    ("recording", "paused", "state"),
    [
        (Switch.OFF, False, LIVE),
        (Switch.PAUSED, False, LIVE),
        (Switch.ON, True, LIVE),
        (Switch.ON, False, ENDED),
        (Switch.ON, False, SCHEDULED),
    ],
)
def test_nothing_is_recorded_unless_everything_allows_it(recording: Switch, paused: bool, state: SessionState) -> None:
    kinds = allowed_kinds(consents=list(ConsentKind), recording=recording, paused_by_participant=paused, state=state)
    assert kinds == frozenset()


@pytest.mark.parametrize(
    ("stream", "offered", "consents", "allowed"),
    [
        (StreamKind.CAMERA, {CAMERA, VOICE}, {VIDEO, AUDIO}, True),
        (StreamKind.CAMERA, {VOICE}, {AUDIO}, True),
        (StreamKind.CAMERA, {CAMERA, VOICE}, {AUDIO}, False),
        (StreamKind.CAMERA, {VOICE}, {ConsentKind.TRANSCRIPT}, False),
        (StreamKind.CAMERA, {SCREEN}, {ConsentKind.SCREEN}, False),
        (StreamKind.CAMERA, set(), set(ConsentKind), False),
        (StreamKind.SCREEN, {SCREEN, SOUND}, {ConsentKind.SCREEN}, True),
        (StreamKind.SCREEN, {SCREEN}, {VIDEO, AUDIO}, False),
    ],
)
def test_a_kind_without_consent_is_refused_at_signalling(
    stream: StreamKind, offered: set[TrackKind], consents: set[ConsentKind], allowed: bool
) -> None:
    decision = may_publish(stream, offered, consents)
    assert bool(decision) is allowed
    assert decision.reason or allowed


STORED = RecordingFacts(
    state=RecordingState.STORED, created_at=NOW - 200 * DAY, session_ended_at=NOW - 10 * DAY, erased_at=None
)


@pytest.mark.parametrize(
    ("change", "days", "allowed"),
    [
        ({}, 180, True),
        ({}, None, True),
        ({}, 10, False),
        ({"session_ended_at": None}, 180, False),
        ({"held_reason": "court", "held_until": NOW + 50 * DAY}, 10, False),
        ({"restricted_at": NOW}, 180, False),
        ({"hidden_at": NOW}, 180, False),
        ({"erased_at": NOW}, None, False),
        ({"state": RecordingState.ERASED}, None, False),
        ({"state": RecordingState.CAPTURING}, 180, False),
        ({"state": RecordingState.CAPTURED}, 180, False),
        ({"state": RecordingState.FAILED}, 180, False),
        ({"state": RecordingState.EMPTY}, 180, False),
    ],
)
def test_what_may_be_seen(change: dict[str, object], days: int | None, allowed: bool) -> None:
    decision = readable(replace(STORED, **change), days, NOW)  # type: ignore[arg-type]
    assert bool(decision) is allowed
    assert decision.reason or allowed


@pytest.mark.parametrize(
    ("change", "days", "at"),
    [
        ({}, 180, NOW + 170 * DAY),
        ({}, None, None),
        ({"session_ended_at": None}, 180, NOW - 20 * DAY),
        ({"held_reason": "court", "held_until": NOW + 500 * DAY}, 180, NOW + 500 * DAY),
        ({"held_reason": "court", "held_until": NOW + DAY}, 180, NOW + 170 * DAY),
        ({"held_reason": "court", "held_until": NOW - DAY}, 5, NOW - 5 * DAY),
        ({"held_reason": "court"}, 180, None),
        ({"erased_at": NOW}, 180, None),
        ({"restricted_at": NOW}, 5, None),
        ({"restricted_at": NOW, "held_reason": "court", "held_until": NOW + DAY}, 5, None),
        ({"session_retention_days": 20}, 180, NOW + 10 * DAY),
        ({"session_retention_days": 300}, 180, NOW + 170 * DAY),
        ({"session_retention_days": 20}, None, NOW + 10 * DAY),
        ({"session_retention_days": 20, "erased_at": NOW}, None, None),
    ],
)
def test_when_it_is_erased_by_itself(change: dict[str, object], days: int | None, at: datetime | None) -> None:
    assert due(replace(STORED, **change), days, NOW) == at  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recorded", "study_kinds", "allowed"),
    [
        (False, list(ConsentKind), set()),
        (True, list(ConsentKind), {VIDEO, AUDIO}),
        (True, [AUDIO, ConsentKind.TRANSCRIPT], {AUDIO}),
        (True, [ConsentKind.SCREEN], set()),
    ],
)
def test_one_switch_of_a_member_is_picture_and_voice_as_far_as_the_study_records_them(
    recorded: bool, study_kinds: list[ConsentKind], allowed: set[ConsentKind]
) -> None:
    assert member_consents(recorded, study_kinds) == allowed


def test_a_member_decides_until_the_session_has_ended() -> None:
    assert [bool(may_switch_self(state)) for state in (SCHEDULED, LIVE, ENDED)] == [True, True, False]


SAID = {AUDIO, ConsentKind.TRANSCRIPT}


@pytest.mark.parametrize(
    ("own", "participants", "written"),
    [
        (SAID, [SAID], True),
        ({AUDIO}, [{AUDIO}, SAID], False),
        ({ConsentKind.TRANSCRIPT}, [SAID], False),
        (None, [SAID], True),
        (None, [{VIDEO}, SAID], True),
        (None, [{AUDIO}, {ConsentKind.TRANSCRIPT}], False),
        (None, [], False),
    ],
)
def test_a_members_words_are_written_down_only_beside_those_of_a_participant(
    own: set[ConsentKind] | None, participants: list[set[ConsentKind]], written: bool
) -> None:
    assert may_write_down(study_kinds=list(ConsentKind), own=own, participants=participants) is written
    assert not may_write_down(study_kinds=[VIDEO, AUDIO], own=own, participants=participants)


def test_what_was_made_ready_before_plays_while_its_end_is_made_ready() -> None:
    facts = RecordingFacts(state=RecordingState.CAPTURED, created_at=NOW)
    assert not readable(facts, None, NOW)
    assert readable(replace(facts, indexed=True), None, NOW)
    for state in (RecordingState.CAPTURING, RecordingState.FAILED, RecordingState.EMPTY, RecordingState.ERASED):
        assert not readable(replace(facts, indexed=True, state=state), None, NOW)
