"""Closing an account for good. What people left in it goes the one way out, with a certificate for each person; owners
see the erasures until the last one is certified, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select

from app.accounts.closing import ClosingFacts, may_close
from app.accounts.login import AccountIsClosed, SignedIn
from app.accounts.members import shut_out
from app.accounts.models import Account, Member, Role
from app.audit import Action, record
from app.database import Base, Db, now_in
from app.decisions import Decision
from app.errors import Conflict
from app.ledger import AccountClosed, Ledger
from app.participants.models import Participant
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import DataRequest, ErasureReason
from app.privacy.rights.requests import UNANSWERED
from app.room.models import Presence
from app.sessions.models import Note, Recording, Session, SessionState
from app.sessions.notes import erase_notes
from app.sessions.policy import is_held
from app.sessions.response_models import Response
from app.sessions.service import end, recording_facts
from app.studies.models import Study
from app.studies.service import close_study
from recordings.model import AccountId, PersonId, SessionId

INSTRUCTION = "the account was closed"


class CannotClose(Conflict):
    """This account cannot be closed now."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What closing would end, counted. rooms: open right now; members: who are no owners; held: recordings that holds
    keep, the last until held_until."""

    studies: int
    sessions: int
    rooms: int
    people: int
    recordings: int
    answers: int
    notes: int
    members: int
    held: int
    held_until: datetime | None
    decision: Decision


async def ending(db: Db, *, owner: SignedIn) -> Ending:
    """As things stand, and whether this owner may."""
    now = await now_in(db)
    held = await _held(db, now)
    dates = [row.held_until for row in held if row.held_until is not None]
    facts = ClosingFacts(
        signed_in_at=owner.since,
        unanswered=await _count(
            db, DataRequest, DataRequest.state.in_(UNANSWERED), DataRequest.erasure_id.is_(None)
        ),  # erasures that were asked for go on by themselves
        endless_holds=len(held) - len(dates),
    )
    return Ending(
        studies=await _count(db, Study),
        sessions=await _count(db, Session),
        rooms=await _count(db, Session, Session.state == SessionState.LIVE),
        people=await _count(db, Participant, Participant.erased_at.is_(None)),
        recordings=await _count(db, Recording, Recording.erased_at.is_(None)),
        answers=await _count(db, Response, Response.erased_at.is_(None)),
        notes=await _count(db, Note),
        members=await _count(db, Member, *_NO_OWNERS),
        held=len(held),
        held_until=max(dates, default=None),
        decision=may_close(facts, now),
    )


async def close_account(db: Db, ledger: Ledger, *, owner: SignedIn) -> list[SessionId]:
    """For good, in this transaction: the ledger knows it before the click is answered. Returns the sessions whose
    rooms were open. Raises CannotClose, AccountIsClosed."""
    row = await db.get_one(Account, owner.account, with_for_update=True, populate_existing=True)  # of two, one waits
    if row.closed_at is not None:
        raise AccountIsClosed
    decision = (await ending(db, owner=owner)).decision
    if not decision:
        raise CannotClose(decision.reason)
    rooms = await close_everything(db, row, by=owner.actor)
    await ledger.note(AccountClosed(at=await now_in(db), account=owner.account, asked_by=owner.actor))
    return rooms


async def close_everything(db: Db, row: Account, *, by: str) -> list[SessionId]:
    """The account's row is locked. Sessions end first: whoever is just being invited is seen, or refused. Returns the
    sessions whose rooms were open."""
    account, row.closed_at = AccountId(row.account_id), await now_in(db)
    for study in await db.scalars(select(Study.id).where(Study.closed_at.is_(None)).order_by(Study.id)):
        await close_study(db, study=study, by=by)
    rooms = []
    unended = select(Session).where(Session.state != SessionState.ENDED).order_by(Session.id)
    for session in (await db.scalars(unended.with_for_update())).all():
        rooms += [SessionId(session.id)] if session.state == SessionState.LIVE else []
        await end(db, session=session.id, by=by)
    await db.execute(delete(Presence))
    await _erase_people(db, account, by)
    await _erase_notes(db, by)
    for member in (await db.scalars(select(Member).where(*_NO_OWNERS).order_by(Member.id).with_for_update())).all():
        await shut_out(db, member)
        await record(db, account=account, actor=by, action=Action.MEMBER_REMOVED, subject=f"member:{member.id}")
    await record(db, account=account, actor=by, action=Action.ACCOUNT_CLOSED, subject=f"account:{account}")
    return rooms


async def _erase_people(db: Db, account: AccountId, by: str) -> None:
    """All of each participant, and what was recorded of members; what a hold keeps goes when it ends."""
    for person in (await db.scalars(select(Participant.id).where(Participant.erased_at.is_(None)))).all():
        await _ask(db, account, PersonId(person), by, None)
    of_members: dict[UUID, list[UUID]] = defaultdict(list)
    left = select(Recording.id, Recording.person_id).where(Recording.erased_at.is_(None))
    for recording, member in await db.execute(left.where(Recording.person_id.in_(select(Member.id)))):
        of_members[member].append(recording)
    for member, recordings in of_members.items():
        await _ask(db, account, PersonId(member), by, recordings)


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


async def _erase_notes(db: Db, by: str) -> None:
    """At once, but those beside a recording that a hold keeps, which go by their date."""
    kept = {row.session_id for row in await _held(db, await now_in(db))}
    noted = select(Session).where(Session.id.in_(select(Note.session_id))).order_by(Session.id)
    for session in (await db.scalars(noted)).all():
        if session.id not in kept:
            await erase_notes(db, session=session, by=by)


async def _held(db: Db, now: datetime) -> list[Recording]:
    """Recordings that a hold keeps now."""
    found = select(Recording, Session).join(Session, Session.id == Recording.session_id)
    found = found.where(Recording.held_reason.is_not(None), Recording.erased_at.is_(None))
    return [row for row, session in (await db.execute(found)).tuples() if is_held(recording_facts(row, session), now)]


async def _count(db: Db, model: type[Base], *where: ColumnElement[bool]) -> int:
    return await db.scalar(select(func.count()).select_from(model).where(*where)) or 0


_NO_OWNERS = (Member.role != Role.OWNER, Member.removed_at.is_(None))
