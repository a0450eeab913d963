"""How an account goes once it is closed: in steps, each in portions that are transactions of their own, so that a run
that is killed is taken up where it stood. Who is left is asked of the rows each time; nothing else remembers it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, Select, any_, delete, exists, func, select

from app.accounts.members import shut_out
from app.accounts.models import Account, Member, Role
from app.audit import Action, record
from app.database import Base, Db, now_in
from app.invitations.session_mails import CANCELLATIONS
from app.mail.models import MailState, OutgoingMail
from app.participants.models import Participant
from app.privacy.erasing.policy import OPEN_STATES
from app.privacy.erasing.service import ask_erasure
from app.privacy.keeping.closing import INSTRUCTION, held_recordings, shut
from app.privacy.keeping.closing_mail import TEMPLATES
from app.privacy.records.models import Erasure, ErasureReason, ErasureState
from app.room.models import Presence
from app.sessions.models import Note, Recording, Session, SessionState
from app.sessions.notes import erase_notes
from app.sessions.service import end
from app.studies.models import Study
from app.studies.service import close_study
from recordings.model import AccountId, PersonId, SessionId

PORTION = 50
"""People, sessions or members in one transaction: seconds, not minutes, are lost when a run is killed."""
MAIL_PATIENCE = timedelta(days=2)
"""What could not be sent by then holds up nothing: the platform's contact has the link, too."""
NEWS_PATIENCE = timedelta(hours=1)
"""What could not be sent to participants by then holds up nobody's erasure; a mail is tried for some minutes."""


class Step(StrEnum):
    SESSIONS = "sessions"
    NEWS = "news"  # participants are being told that a session does not take place, as long as they have an address
    PEOPLE = "people"
    NOTES = "notes"
    MEMBERS = "members"
    WAIT = "wait"  # erasures go on by themselves
    HELD = "held"  # what they could, they did; the rest is tried again, or goes when a hold ends
    TELL = "tell"
    MAILS = "mails"  # the last ones are on their way
    DESTROY = "destroy"


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is still to do, counted. news: mails of cancelled sessions that wait; people, recordings: nobody has asked
    for their erasure yet; recordings: of members; notes: sessions with some that no hold keeps, kept_notes: that one
    keeps; erasing: erasures under way; stuck: that cannot go on now; mails: waiting; told: the last mail was written,
    or nobody is left who could read it."""

    sessions: int
    news: int
    people: int
    recordings: int
    notes: int
    kept_notes: int
    members: int
    erasing: int
    stuck: int
    mails: int
    told: bool


def next_step(left: Left) -> Step:
    """In this order: nobody comes in any more, whoever was expected hears of it, then everybody's data goes, last what
    the account needs to write to its owners."""
    if left.sessions:
        return Step.SESSIONS
    if left.news:
        return Step.NEWS
    if left.people or left.recordings:
        return Step.PEOPLE
    if left.notes:
        return Step.NOTES
    if left.members:
        return Step.MEMBERS
    if left.erasing:
        return Step.WAIT
    if left.stuck or left.kept_notes:
        return Step.HELD
    if not left.told:
        return Step.TELL
    return Step.MAILS if left.mails else Step.DESTROY


async def left_of(db: Db) -> Left:
    noted = await _sessions_with_notes(db)
    kept = {row.session_id for row in await held_recordings(db, await now_in(db))}
    return Left(
        sessions=await _count(db, Session, Session.state != SessionState.ENDED)
        + await _count(db, Study, Study.closed_at.is_(None)),
        news=await _waiting(db, NEWS_PATIENCE, CANCELLATIONS),
        people=await db.scalar(select(func.count()).select_from(_people().subquery())) or 0,
        recordings=await db.scalar(select(func.count()).select_from(_recordings().subquery())) or 0,
        notes=len(noted - kept),
        kept_notes=len(noted & kept),
        members=await _count(db, Member, Member.role != Role.OWNER) + await _count(db, Member, *_FORMER_OWNERS),
        erasing=await _count(db, Erasure, Erasure.state.in_((ErasureState.ASKED, ErasureState.RUNNING))),
        stuck=await _count(db, Erasure, Erasure.state.in_((ErasureState.PARTIAL, ErasureState.HELD))),
        mails=await _waiting(db, MAIL_PATIENCE, OutgoingMail.template.in_(TEMPLATES)),
        told=await _count(db, OutgoingMail, OutgoingMail.key.startswith("closing-gone-")) > 0
        or not await _count(db, Member),
    )


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Sessions that have just ended. rooms: of which the room was open; cancelled: that had not begun."""

    rooms: list[SessionId]
    cancelled: list[SessionId]


async def end_sessions(db: Db, by: str) -> Ended:
    """A portion. Studies close first: whoever is just being invited is seen, or refused."""
    for study in (await db.scalars(select(Study.id).where(Study.closed_at.is_(None)).order_by(Study.id))).all():
        await close_study(db, study=study, by=by)
    return await _end(db, Session.state != SessionState.ENDED, by)


async def end_rooms(db: Db, by: str) -> list[SessionId]:
    """Those that are open, at once: whoever closes the account must not go on being recorded meanwhile."""
    return (await _end(db, Session.state == SessionState.LIVE, by)).rooms


async def _end(db: Db, which: ColumnElement[bool], by: str) -> Ended:
    ended = Ended(rooms=[], cancelled=[])
    for session in (
        await db.scalars(select(Session).where(which).order_by(Session.id).limit(PORTION).with_for_update())
    ).all():
        of_its_kind = ended.rooms if session.state == SessionState.LIVE else ended.cancelled
        of_its_kind.append(SessionId(session.id))
        await end(db, session=session.id, by=by)
        await db.execute(delete(Presence).where(Presence.session_id == session.id))
    return ended


async def close_account_again(db: Db, row: Account, *, by: str) -> None:
    """All that takes no key, in this one transaction: a restored database serves nobody before. Who was expected to a
    session heard of it when the account was closed, and is not told twice."""
    await shut(db, row, by=by)
    while (left := await left_of(db)).sessions or left.people or left.recordings:
        if left.sessions:
            await end_sessions(db, by)
        else:
            await ask_for_people(db, AccountId(row.account_id), by)
        await db.flush()


async def ask_for_people(db: Db, account: AccountId, by: str) -> None:
    """A portion: all of each participant, and what was recorded of members; what a hold keeps goes when it ends."""
    for person in (await db.scalars(_people().limit(PORTION))).all():
        await _ask(db, account, PersonId(person), by, None)
    of_members: dict[UUID, list[UUID]] = defaultdict(list)
    for recording, member in await db.execute(_recordings().limit(PORTION)):
        of_members[member].append(recording)
    for member, recordings in of_members.items():
        await _ask(db, account, PersonId(member), by, recordings)


async def erase_all_notes(db: Db, by: str) -> None:
    """A portion. Those beside a recording that a hold keeps go when it ends."""
    kept = {row.session_id for row in await held_recordings(db, await now_in(db))}
    free = sorted(await _sessions_with_notes(db) - kept, key=str)[:PORTION]
    for session in (await db.scalars(select(Session).where(Session.id.in_(free)).order_by(Session.id))).all():
        await erase_notes(db, session=session, by=by)


async def members_to_remove(db: Db) -> list[UUID]:
    """A portion of those who are no owners, former members among them."""
    found = select(Member.id).where((Member.role != Role.OWNER) | Member.removed_at.is_not(None))
    return list(await db.scalars(found.order_by(Member.id).limit(PORTION)))


async def remove_members(db: Db, account: AccountId, members: list[UUID], by: str) -> None:
    """Their names and addresses go with their rows; what they did stays in the log under their ids."""
    for row in (await db.scalars(select(Member).where(Member.id.in_(members)).with_for_update())).all():
        if row.removed_at is None:
            await shut_out(db, row)
            await record(db, account=account, actor=by, action=Action.MEMBER_REMOVED, subject=f"member:{row.id}")
    await db.execute(delete(OutgoingMail).where(OutgoingMail.person_id.in_(members)))
    await db.execute(delete(Member).where(Member.id.in_(members)))


async def still_recorded(db: Db, members: list[UUID]) -> set[UUID]:
    """Of whom something recorded is not erased yet: it lies under their key."""
    mine = Recording.person_id.in_(members), Recording.erased_at.is_(None)
    return set(await db.scalars(select(Recording.person_id).where(*mine)))


async def closing_account(db: Db) -> Account:
    """The account of this transaction, locked."""
    return (await db.scalars(select(Account).with_for_update())).one()


def _people() -> Select[UUID]:
    """Participants of whom not all is being erased."""
    asked = exists().where(
        Erasure.person_id == Participant.id,
        Erasure.recording_ids.is_(None),
        Erasure.track_kinds.is_(None),
        Erasure.state.in_(OPEN_STATES),
    )
    return select(Participant.id).where(Participant.erased_at.is_(None), ~asked).order_by(Participant.id)


def _recordings() -> Select[UUID, UUID]:
    """Recordings of members, with whom they show, that are not being erased as a whole."""
    asked = exists().where(
        Erasure.person_id == Recording.person_id,
        Recording.id == any_(Erasure.recording_ids),
        Erasure.track_kinds.is_(None),
        Erasure.state.in_(OPEN_STATES),
    )
    found = select(Recording.id, Recording.person_id).where(Recording.person_is_member, Recording.erased_at.is_(None))
    return found.where(~asked).order_by(Recording.person_id, Recording.id)


async def _ask(db: Db, account: AccountId, person: PersonId, by: str, recordings: list[UUID] | None) -> None:
    await ask_erasure(
        db,
        account=account,
        person=person,
        reason=ErasureReason.CLOSED,
        asked_by=by,
        instruction=INSTRUCTION,
        recordings=recordings,
    )


async def _sessions_with_notes(db: Db) -> set[UUID]:
    return set(await db.scalars(select(Note.session_id).distinct()))


async def _waiting(db: Db, patience: timedelta, which: ColumnElement[bool]) -> int:
    """Mails on their way for no longer than `patience`."""
    waits = OutgoingMail.state.in_((MailState.WAITING, MailState.SENDING))
    return await _count(db, OutgoingMail, which, waits, OutgoingMail.created_at > await now_in(db) - patience)


async def _count(db: Db, model: type[Base], *where: ColumnElement[bool]) -> int:
    return await db.scalar(select(func.count()).select_from(model).where(*where)) or 0


_FORMER_OWNERS = (Member.role == Role.OWNER, Member.removed_at.is_not(None))
