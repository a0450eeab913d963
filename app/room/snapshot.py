"""What one person is told of the room (PROTOCOL.md): a pure view of the facts, by who asks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from app.room.node_messages import HealthFacts, SessionFacts, StreamFacts
from app.room.room import OBSERVER, PARTICIPANT, Person, RoomFacts, may_be_inside, may_see, publishable
from recordings.model import PersonId, RecordingId, StreamKind, TrackKind


class PersonTold(msgspec.Struct, frozen=True, kw_only=True):
    person: UUID
    name: str
    role: str
    present: bool
    admitted: bool
    paused: bool
    asked_again: bool


class StreamTold(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in the room. recorded: the kinds of which frames are being kept at this moment; health: for those who
    lead the session."""

    recording: UUID
    take: int
    person: UUID
    stream: StreamKind
    kinds: list[TrackKind]
    recorded: list[TrackKind]
    state: str
    fps: float
    stored_up_to: datetime | None
    health: HealthFacts | None


class You(msgspec.Struct, frozen=True, kw_only=True):
    person: UUID
    role: str
    admitted: bool
    paused: bool
    records_self: bool
    may_publish: list[TrackKind]
    asked_again: bool


class RoomTold(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="room"):
    """The whole room, so that a page that missed something is right again with the next message."""

    session: str
    recording: str
    recording_since: datetime | None
    you: You
    people: list[PersonTold]
    streams: list[StreamTold]
    observers: int
    media: bool
    stored_up_to: datetime | None
    storing_trouble: str | None


def told(facts: RoomFacts, media: SessionFacts | None, person: Person, names: Mapping[PersonId, str]) -> RoomTold:
    """media: None when the media process cannot be reached; names: opened, of everybody in facts."""
    inside = bool(may_be_inside(facts, person))
    live = [stream for stream in (media.streams if media else []) if _is_current(facts, stream)]
    leads = person.is_member and person.role != OBSERVER
    streams = [_stream(stream, leads) for stream in live if inside and _may_see(facts, person, stream)]
    return RoomTold(
        session=facts.state,
        recording=facts.recording,
        recording_since=facts.recording_at,
        you=You(
            person=person.person,
            role=person.role,
            admitted=inside or person.admitted,
            paused=person.paused,
            records_self=person.records_self,
            may_publish=sorted(publishable(person)) if inside else [],
            asked_again=bool(person.asked_again),
        ),
        people=[_person(other, names, person) for other in facts.people.values() if _knows(facts, person, other)],
        streams=streams,
        observers=sum(1 for other in facts.people.values() if other.role == OBSERVER and other.present),
        media=media is not None,
        stored_up_to=_moment(media.stored_up_to) if media and media.stored_up_to and person.is_member else None,
        storing_trouble=media.failing if media and person.is_member else None,
    )


def _is_current(facts: RoomFacts, stream: StreamFacts) -> bool:
    """Known to the database too: what is not committed is not shown."""
    return facts.takes.get(RecordingId(stream.recording)) == stream.take


def _may_see(facts: RoomFacts, viewer: Person, stream: StreamFacts) -> bool:
    return bool(may_see(facts, viewer, facts.people.get(PersonId(stream.person))))


def _knows(facts: RoomFacts, viewer: Person, other: Person) -> bool:
    """Members know everyone but do not list absent colleagues; participants know the researchers who are
    here, themselves, and in a group session the others who were let in. Observers are only counted."""
    if other.person == viewer.person:
        return True
    if other.role == OBSERVER:
        return False
    if viewer.is_member:
        return other.present or other.role == PARTICIPANT
    if other.is_member:
        return other.present
    return facts.group and other.admitted and viewer.admitted and other.present


def _person(person: Person, names: Mapping[PersonId, str], viewer: Person) -> PersonTold:
    return PersonTold(
        person=person.person,
        name=names.get(person.person, ""),
        role=person.role,
        present=person.present,
        admitted=person.admitted,
        paused=person.paused,
        asked_again=viewer.is_member and bool(person.asked_again),
    )


def _stream(stream: StreamFacts, with_health: bool) -> StreamTold:
    return StreamTold(
        recording=stream.recording,
        take=stream.take,
        person=stream.person,
        stream=stream.stream,
        kinds=[track.kind for track in stream.tracks],
        recorded=[track.kind for track in stream.tracks if track.capturing],
        state=stream.state,
        fps=max((track.fps for track in stream.tracks if track.kind.is_video), default=0.0),
        stored_up_to=_moment(stream.stored_up_to) if stream.stored_up_to else None,
        health=stream.health if with_health else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
