"""The room: who is in it, which streams they may publish and see, and what may be recorded of them.

Pure values and rules; rows become these values in rows.py. Knows neither media nor HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.decisions import ALLOWED, Decision, refused
from app.language import N_
from app.room.node_messages import Permission
from app.sessions.models import SessionState
from app.sessions.policy import JoinFacts, Switch, allowed_kinds, consented_tracks, may_join, may_publish
from app.studies.models import ConsentKind
from recordings.model import AccountId, PersonId, RecordingId, SessionId, StreamKind, TrackId, TrackKind

OBSERVER = "observer"
PARTICIPANT = "participant"


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody who may be in the room. role: owner | researcher | observer | participant; join: what
    decides whether a participant may enter, None for members; name: sealed, of the role's own field.
    consents: what may be recorded of them; a member's follow from their switch, records_self.
    asked_again: kinds a participant agreed to under a text that has changed since; they allow nothing."""

    person: PersonId
    role: str
    name: bytes | None = None
    join: JoinFacts | None = None
    paused: bool = False
    consents: frozenset[ConsentKind] = frozenset()
    asked_again: frozenset[ConsentKind] = frozenset()
    records_self: bool = False
    present: bool = False

    @property
    def is_member(self) -> bool:
        return self.role != PARTICIPANT

    @property
    def admitted(self) -> bool:
        return self.join is None or self.join.admitted


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenTrack:
    """A track of a take that has not ended, which may still be written to."""

    recording: RecordingId
    take: int
    person: PersonId
    stream: StreamKind
    kind: TrackKind
    track: TrackId


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomFacts:
    """All that the database knows of a room at one moment. as_of: its clock; node: URL of the media process."""

    account: AccountId
    session: SessionId
    as_of: datetime
    state: SessionState
    recording: Switch
    recording_at: datetime | None
    group: bool
    node: str | None
    people: Mapping[PersonId, Person]
    tracks: tuple[OpenTrack, ...]
    takes: Mapping[RecordingId, int]
    """The latest take of every recording that has an open one."""
    logins: frozenset[UUID] = frozenset()
    """Of members, those that stand."""


def may_be_inside(facts: RoomFacts, person: Person) -> Decision:
    """May this person send and receive media in the room now?"""
    if person.join is not None:
        return may_join(person.join, facts.as_of)
    if facts.state is SessionState.LIVE:
        return ALLOWED
    return refused(
        N_("This session has ended.") if facts.state is SessionState.ENDED else N_("The room is not open yet.")
    )


def publishable(person: Person) -> frozenset[TrackKind]:
    """The kinds this person may send at all: a participant what they agreed to, an observer nothing."""
    if person.role == OBSERVER:
        return frozenset()
    return frozenset(TrackKind) if person.is_member else consented_tracks(person.consents)


def may_send(facts: RoomFacts, person: Person, stream: StreamKind, offered: frozenset[TrackKind]) -> Decision:
    """May this person publish a stream of these kinds now?"""
    if person.role == OBSERVER:
        return refused("Observers watch; they do not send sound or pictures.")
    inside = may_be_inside(facts, person)
    if not inside or person.is_member:
        return inside
    return may_publish(stream, offered, person.consents)


def may_see(facts: RoomFacts, viewer: Person, publisher: Person | None) -> Decision:
    """May `viewer` receive a stream of `publisher` now? Members see everyone; participants see members,
    and each other in a group session, where they were told so before they agreed."""
    inside = may_be_inside(facts, viewer)
    if not inside or viewer.is_member:
        return inside
    if publisher is None or not (publisher.is_member or facts.group or publisher.person == viewer.person):
        return refused("You can see and hear the researchers here, not the other participants.")
    return ALLOWED


def permission(facts: RoomFacts) -> Permission:
    """What the media process may capture now: the open tracks of exactly the kinds agreed to by people who
    are inside, while the researcher records and the person has not paused."""
    streams: dict[UUID, dict[TrackKind, UUID]] = {}
    for track in facts.tracks:
        person = facts.people.get(track.person)
        if track.kind in capturable(facts, person):
            streams.setdefault(track.recording, {})[track.kind] = track.track
    return Permission(
        as_of=facts.as_of.timestamp(),
        live=facts.state is SessionState.LIVE,
        streams=streams,
        takes={track.recording: track.take for track in facts.tracks},
        inside=[person.person for person in facts.people.values() if may_be_inside(facts, person)],
        logins=sorted(facts.logins),
        why="paused" if facts.recording is Switch.PAUSED else "permission changed",
    )


def capturable(facts: RoomFacts, person: Person | None) -> frozenset[TrackKind]:
    """The kinds that may be recorded of this person at this moment."""
    if person is None or person.role == OBSERVER or not may_be_inside(facts, person):
        return frozenset()
    return allowed_kinds(
        consents=person.consents,
        recording=facts.recording,
        paused_by_participant=person.paused,
        state=facts.state,
    )
