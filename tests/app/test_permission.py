"""What may be captured at a moment: pure rules first, then the rows they are read from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from app.database import Database
from app.errors import Gone
from app.invitations.service import admit
from app.room.models import Presence
from app.room.room import (
    OpenTrack,
    Person,
    RoomFacts,
    capturable,
    may_see,
    may_send,
    permission,
    publishable,
)
from app.room.rows import here, one_moment, read_room
from app.room.sdp import offered_kinds
from app.room.snapshot import told
from app.sessions.models import Recording, SessionState, Track
from app.sessions.policy import JoinFacts, Switch, member_consents
from app.sessions.service import open_take
from app.studies.models import ConsentKind
from app.studies.service import new_consent_text
from recordings.model import AccountId, PersonId, RecordingId, SessionId, StreamKind, TrackId, TrackKind
from tests.app.room_stage import RECORDED, stage

NOW = datetime(2026, 5, 3, 14, 32, tzinfo=UTC)
BOTH = frozenset({TrackKind.CAMERA, TrackKind.VOICE})


def joined(**changes: object) -> JoinFacts:
    facts = JoinFacts(
        state=SessionState.LIVE, registered=True, revoked=False, expires_at=NOW + timedelta(hours=1), admitted=True
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def guest(**changes: object) -> Person:
    person = Person(
        person=PersonId(uuid4()), role="participant", join=joined(), consents=frozenset(RECORDED), present=True
    )
    return replace(person, **changes)  # type: ignore[arg-type]


def member(role: str = "researcher", *, records_self: bool = False) -> Person:
    return Person(
        person=PersonId(uuid4()),
        role=role,
        records_self=records_self,
        consents=member_consents(records_self, list(ConsentKind)),
    )


def room(*people: Person, **changes: object) -> RoomFacts:
    """A live, recorded session in which everyone publishes camera and voice."""
    recordings = {person.person: RecordingId(uuid4()) for person in people}
    facts = RoomFacts(
        account=AccountId(uuid4()),
        session=SessionId(uuid4()),
        as_of=NOW,
        state=SessionState.LIVE,
        recording=Switch.ON,
        recording_at=NOW,
        group=False,
        node="http://127.0.0.1:1",
        people={person.person: person for person in people},
        tracks=tuple(
            OpenTrack(
                recording=recordings[person.person],
                take=1,
                person=person.person,
                stream=StreamKind.CAMERA,
                kind=kind,
                track=TrackId(uuid4()),
            )
            for person in people
            for kind in sorted(BOTH)
        ),
        takes=dict.fromkeys(recordings.values(), 1),
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def captured(facts: RoomFacts) -> set[TrackKind]:
    return {kind for kinds in permission(facts).streams.values() for kind in kinds}


def test_what_was_agreed_to_may_be_captured_to_its_own_tracks() -> None:
    facts = room(guest())
    tracks = {track.kind: track.track for track in facts.tracks}
    assert permission(facts).streams == {facts.tracks[0].recording: tracks}
    assert permission(facts).live
    assert permission(facts).as_of == NOW.timestamp()


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"consents": frozenset({ConsentKind.VIDEO})}, {TrackKind.CAMERA}),
        ({"consents": frozenset({ConsentKind.AUDIO, ConsentKind.TRANSCRIPT})}, {TrackKind.VOICE}),
        ({"consents": frozenset({ConsentKind.TRANSCRIPT})}, set()),
        ({"consents": frozenset()}, set()),
        ({"paused": True}, set()),
        ({"join": joined(admitted=False)}, set()),
        ({"join": joined(revoked=True)}, set()),
        ({"join": joined(erased=True)}, set()),
        ({"join": joined(registered=False)}, set()),
    ],
)
def test_each_person_decides_what_is_captured_of_them(change: dict[str, object], kept: set[TrackKind]) -> None:
    assert captured(room(guest(**change))) == kept


@pytest.mark.parametrize(
    "change",
    [
        {"recording": Switch.OFF},
        {"recording": Switch.PAUSED},
        {"state": SessionState.ENDED},
        {"state": SessionState.SCHEDULED},
    ],
)
def test_nothing_is_captured_while_the_session_does_not_record(change: dict[str, object]) -> None:
    assert captured(room(guest(), **change)) == set()


def test_only_the_newest_take_and_only_people_inside_are_named() -> None:
    guests = guest(), guest(join=joined(revoked=True)), guest(join=joined(admitted=False))
    facts = room(*guests, member("owner"))
    assert permission(facts).takes == dict.fromkeys(facts.takes, 1)
    assert permission(facts).inside == [guests[0].person, *(p for p in facts.people if facts.people[p].is_member)]


def test_a_session_that_ended_ends_its_streams() -> None:
    assert not permission(room(guest(), state=SessionState.ENDED)).live


def test_a_member_is_carried_but_not_captured_until_they_switch_it_on() -> None:
    assert captured(room(member("owner"), member())) == set()
    ada, rita = member("owner", records_self=True), member()
    facts = room(ada, rita)
    assert captured(facts) == BOTH
    assert set(permission(facts).streams) == {track.recording for track in facts.tracks if track.person == ada.person}


@pytest.mark.parametrize(
    "change", [{"recording": Switch.OFF}, {"recording": Switch.PAUSED}, {"state": SessionState.ENDED}]
)
def test_a_member_is_captured_only_while_the_session_records(change: dict[str, object]) -> None:
    assert captured(room(member("owner", records_self=True), **change)) == set()


def test_an_observer_is_never_captured_and_a_members_screen_neither() -> None:
    assert captured(room(member("observer", records_self=True))) == set()
    ada = member("owner", records_self=True)
    facts = room(ada)
    screen = tuple(replace(track, stream=StreamKind.SCREEN, kind=TrackKind.SCREEN) for track in facts.tracks)
    assert captured(replace(facts, tracks=screen)) == set()


def test_a_track_of_nobody_known_is_not_captured() -> None:
    facts = room(guest())
    assert captured(replace(facts, people={})) == set()


@pytest.mark.parametrize(
    ("person", "stream", "offered", "allowed"),
    [
        (guest(), StreamKind.CAMERA, BOTH, True),
        (guest(consents=frozenset({ConsentKind.AUDIO})), StreamKind.CAMERA, BOTH, False),
        (guest(consents=frozenset({ConsentKind.AUDIO})), StreamKind.CAMERA, {TrackKind.VOICE}, True),
        (guest(consents=frozenset({ConsentKind.VIDEO})), StreamKind.SCREEN, {TrackKind.SCREEN}, False),
        (guest(join=joined(admitted=False)), StreamKind.CAMERA, BOTH, False),
        (guest(), StreamKind.CAMERA, set(), False),
        (member("owner"), StreamKind.CAMERA, BOTH, True),
        (member("observer"), StreamKind.CAMERA, BOTH, False),
    ],
)
def test_who_may_send_what(person: Person, stream: StreamKind, offered: set[TrackKind], allowed: bool) -> None:
    decision = may_send(room(person), person, stream, frozenset(offered))
    assert bool(decision) is allowed
    assert decision.allowed or decision.reason


def test_participants_see_researchers_and_each_other_only_in_a_group() -> None:
    anna, ben, ada, eve = guest(), guest(), member("owner"), member("observer")
    alone, group = room(anna, ben, ada, eve), room(anna, ben, ada, eve, group=True)
    assert may_see(alone, anna, ada)
    assert not may_see(alone, anna, ben)
    assert may_see(group, anna, ben)
    assert may_see(alone, ada, anna)
    assert may_see(alone, eve, anna)
    assert not may_see(replace(group, state=SessionState.ENDED), ada, anna)
    outside = guest(join=joined(admitted=False))
    assert not may_see(room(outside, ada), outside, ada)


def test_media_lines_switched_off_are_not_offered() -> None:
    sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\nm=application 9 x\r\n"
    assert offered_kinds(sdp, StreamKind.CAMERA) == {TrackKind.VOICE}
    assert offered_kinds(sdp, StreamKind.SCREEN) == {TrackKind.SCREEN_SOUND}
    for none in ("no sdp at all", "", "m=video", "v=0\r\nm=video x RTP\r\n"):
        assert offered_kinds(none, StreamKind.CAMERA) == frozenset()


def test_media_lines_that_share_the_port_of_another_are_offered() -> None:
    """Firefox writes 0 there with max-bundle (RFC 9143 §6)."""
    sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only\r\n"
    assert offered_kinds(sdp, StreamKind.CAMERA) == {TrackKind.CAMERA, TrackKind.VOICE}


async def test_rows_become_facts_and_a_withdrawn_track_never_comes_back(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    await scene.open("open_room", "start_recording")

    async def take() -> dict[TrackKind, UUID]:
        async with database.transaction(scene.account) as db:
            opened = await open_take(
                db,
                scene.wiring.keys,
                account=scene.account,
                session=scene.session,
                person=anna,
                person_is_member=False,
                stream=StreamKind.CAMERA,
                kinds=BOTH,
                node="media-1",
                resource=str(uuid4()),
            )
        return {kind: track.track for kind, track in opened.tracks.items()}

    async def allowed() -> dict[TrackKind, UUID]:
        async with one_moment(database, scene.account) as db:
            facts = await read_room(db, scene.wiring, account=scene.account, session=scene.session)
        return next(iter(permission(facts).streams.values()), {})

    first = await take()
    assert await allowed() == {}  # not let in yet
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=anna)
    assert await allowed() == first

    await scene.consent(anna, [ConsentKind.AUDIO], given=False)
    assert await allowed() == {TrackKind.CAMERA: first[TrackKind.CAMERA]}
    async with database.transaction(scene.account) as db:
        await db.execute(update(Track).where(Track.kind == TrackKind.VOICE).values(closed_at=func.now()))
    await scene.consent(anna, [ConsentKind.AUDIO])
    assert await allowed() == {TrackKind.CAMERA: first[TrackKind.CAMERA]}  # consent anew opens no closed track
    second = await take()
    assert second[TrackKind.VOICE] != first[TrackKind.VOICE]
    assert await allowed() == second

    async with database.transaction(scene.account) as db:
        (await db.scalars(select(Recording))).one().hidden_at = datetime.now(UTC)
    with pytest.raises(Gone):  # while it is being erased nothing new may come to lie there
        await take()


async def test_a_text_that_changes_in_the_middle_of_a_session_stops_capture_until_they_agree_again(
    database: Database, tmp_path: Path
) -> None:
    """Read at every push, so within a second; the researcher sees who has not agreed yet, nobody else does."""
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", *RECORDED)
    await scene.open("open_room", "start_recording")
    async with database.transaction(scene.account) as db:
        await admit(db, session=scene.session, participant=anna)

    async def seen() -> RoomFacts:
        async with one_moment(database, scene.account) as db:
            return await read_room(db, scene.wiring, account=scene.account, session=scene.session)

    facts = await seen()
    assert capturable(facts, facts.people[anna]) and not facts.people[anna].asked_again
    async with database.transaction(scene.account) as db:
        await new_consent_text(db, study=scene.study, text="We also look into your cupboards.")
    facts = await seen()
    assert capturable(facts, facts.people[anna]) == frozenset() == publishable(facts.people[anna])
    assert facts.people[anna].asked_again == set(RECORDED)
    told_to = {
        who: next(one for one in told(facts, None, facts.people[who], {}).people if one.person == anna).asked_again
        for who in (anna, scene.owner)
    }
    assert told_to == {anna: False, scene.owner: True}
    assert told(facts, None, facts.people[anna], {}).you.asked_again
    await scene.consent(anna, RECORDED)
    facts = await seen()
    assert capturable(facts, facts.people[anna]) and not facts.people[anna].asked_again


async def test_presence_is_what_pages_say_and_fades(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    anna = await scene.participant("Anna", ConsentKind.AUDIO)
    async with database.transaction(scene.account) as db:
        for _ in range(2):
            await here(db, account=scene.account, session=scene.session, person=anna, role="participant")
    async with one_moment(database, scene.account) as db:
        facts = await read_room(db, scene.wiring, account=scene.account, session=scene.session)
    assert [person.person for person in facts.people.values() if person.present] == [anna]
    async with database.transaction(scene.account) as db:
        (await db.scalars(select(Presence))).one().seen_at -= timedelta(seconds=30)
    async with one_moment(database, scene.account) as db:
        facts = await read_room(db, scene.wiring, account=scene.account, session=scene.session)
    assert not any(person.present for person in facts.people.values())
