"""Rows of a session become RoomFacts: one reading, by one clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text, true
from sqlalchemy.dialects.postgresql import insert

from app.accounts.assignments import seen_by
from app.accounts.login import IDLE
from app.accounts.models import Login, Member
from app.database import Database, Db
from app.errors import NotThere
from app.invitations.models import Invitation
from app.participants.consents import entries_of_session
from app.participants.models import Participant
from app.participants.policy import current, outdated
from app.participants.service import texts_now
from app.room.models import Presence
from app.room.room import OBSERVER, PARTICIPANT, OpenTrack, Person, RoomFacts
from app.sessions.models import MemberSwitch, Node, Recording, Session, SessionState, Take, Track
from app.sessions.policy import JoinFacts, Switch, member_consents
from app.studies.models import ConsentKind, Study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, RecordingId, SessionId, StreamKind, TrackId, TrackKind

PRESENT_FOR = timedelta(seconds=6)


@asynccontextmanager
async def one_moment(database: Database, account: AccountId) -> AsyncIterator[Db]:
    """A transaction in which every query sees the same moment, so that a permission never mixes two.

    SET takes no snapshot, so the moment is that of the first reading, and the transaction's own time lies before
    it: what is read after a change was committed is later than whatever was read without that change."""
    async with database.transaction() as db:
        await db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        await db.execute(text(f"SET LOCAL junier.account_id = '{UUID(str(account))}'"))
        yield db


async def read_room(db: Db, wiring: Wiring, *, account: AccountId, session: UUID) -> RoomFacts:
    """All about one room. Raises NotThere."""
    found = (
        await db.execute(
            select(Session, Study, Node.url, func.now())
            .join(Study, Study.id == Session.study_id)
            .outerjoin(Node, Node.name == Session.node)
            .where(Session.id == session)
        )
    ).one_or_none()
    if found is None:
        raise NotThere
    row, study, node, as_of = found
    recordings = (
        await db.execute(
            select(Recording.id, Recording.person_id, Recording.stream, Take.number)
            .join(Take, (Take.recording_id == Recording.id) & (Take.number == Recording.last_take))
            .where(Recording.session_id == session, Take.ended_at.is_(None), Recording.erased_at.is_(None))
        )
    ).all()
    tracks = (
        await db.execute(
            select(Track.id, Track.recording_id, Track.kind).where(
                Track.recording_id.in_([recording.id for recording in recordings]),
                Track.closed_at.is_(None),
                Track.erased_at.is_(None),
            )
        )
    ).all()
    by_id = {recording.id: recording for recording in recordings}
    return RoomFacts(
        account=account,
        session=SessionId(row.id),
        as_of=as_of,
        state=SessionState(row.state),
        recording=Switch(row.recording),
        recording_at=row.recording_at,
        group=row.group,
        node=node,
        people=await _people(db, wiring, row, study),
        tracks=tuple(
            OpenTrack(
                recording=RecordingId(track.recording_id),
                take=by_id[track.recording_id].number,
                person=PersonId(by_id[track.recording_id].person_id),
                stream=StreamKind(by_id[track.recording_id].stream),
                kind=TrackKind(track.kind),
                track=TrackId(track.id),
            )
            for track in tracks
        ),
        takes={RecordingId(recording.id): recording.number for recording in recordings},
        logins=frozenset(await db.scalars(_SIGNED_IN)),
    )


_SIGNED_IN = select(Login.id).where(
    Login.member_id.is_not(None), Login.expires_at > func.now(), Login.used_at > func.now() - IDLE
)


async def here(db: Db, *, account: AccountId, session: UUID, person: UUID, role: str) -> None:
    """This person's page is open."""
    await db.execute(
        insert(Presence)
        .values(account_id=account, session_id=session, person_id=person, role=role, seen_at=func.clock_timestamp())
        .on_conflict_do_update(
            index_elements=[Presence.session_id, Presence.person_id],
            set_={"role": role, "seen_at": func.clock_timestamp()},
        )
    )


async def _people(db: Db, wiring: Wiring, session: Session, study: Study) -> dict[PersonId, Person]:
    """Everyone invited, and the members who see this session; presence by their open pages."""
    kinds = frozenset(ConsentKind(kind) for kind in study.kinds)
    seen = select(Presence.person_id).where(
        Presence.session_id == session.id, Presence.seen_at > func.clock_timestamp() - PRESENT_FOR
    )
    present = set(await db.scalars(seen))
    invited = await db.execute(
        select(Invitation, Participant)
        .join(Participant, Participant.id == Invitation.participant_id)
        .where(Invitation.session_id == session.id)
        .order_by(Invitation.created_at, Invitation.id)
    )
    log = await entries_of_session(db, session=SessionId(session.id))
    texts: dict[str, bytes] = {}
    if log:
        texts = await texts_now(db, wiring.columns, wiring.settings, account=AccountId(session.account_id), study=study)
    members = await db.execute(
        select(Member, func.coalesce(MemberSwitch.recorded, Member.records_self))
        .outerjoin(MemberSwitch, (MemberSwitch.member_id == Member.id) & (MemberSwitch.session_id == session.id))
        .where(Member.removed_at.is_(None), seen_by(session.id, study.id) if study.assigned_only else true())
        .order_by(Member.created_at)
    )
    people = [_member(member, recorded and member.role != OBSERVER, kinds, present) for member, recorded in members]
    people += [
        Person(
            person=PersonId(participant.id),
            role=PARTICIPANT,
            name=participant.name,
            join=_join(session, invitation, participant),
            paused=invitation.paused_at is not None,
            consents=current(log.get(PersonId(participant.id), ()), texts) & kinds,
            asked_again=outdated(log.get(PersonId(participant.id), ()), texts) & kinds,
            present=participant.id in present,
        )
        for invitation, participant in invited
    ]
    return {person.person: person for person in people}


def _member(member: Member, recorded: bool, kinds: frozenset[ConsentKind], present: set[UUID]) -> Person:
    return Person(
        person=PersonId(member.id),
        role=member.role,
        name=member.name,
        consents=member_consents(recorded, kinds),
        records_self=recorded,
        present=member.id in present,
    )


def _join(session: Session, invitation: Invitation, participant: Participant) -> JoinFacts:
    return JoinFacts(
        state=SessionState(session.state),
        registered=participant.registered_at is not None,
        revoked=invitation.revoked_at is not None,
        expires_at=invitation.expires_at,
        admitted=invitation.admitted_at is not None,
        erased=participant.erased_at is not None,
    )
