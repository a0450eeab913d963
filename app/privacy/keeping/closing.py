"""Verbs of closing an account: announce it, take that back, close it. What then goes, and in which order, stands in
closing_steps; here it is only said, so that a click is answered at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select

from app.accounts.closing import ClosingFacts, closing_day, may_announce, may_close, settled
from app.accounts.login import AccountIsClosed, SignedIn
from app.accounts.models import Account, Login, Member, Passkey, Role, SignInAddress, SignInLink
from app.audit import Action, record
from app.database import Base, Db, note, now_in
from app.decisions import Decision
from app.errors import Conflict
from app.jobs import enqueue
from app.ledger_entries import AccountClosed, AccountKept, ClosingAnnounced
from app.participants.models import Participant
from app.privacy.keeping.closing_mail import tell_of_closing
from app.privacy.records.models import DataRequest
from app.privacy.rights.requests import UNANSWERED
from app.sessions.models import Note, Recording, Session, SessionState
from app.sessions.policy import is_held
from app.sessions.response_models import Response
from app.sessions.service import recording_facts
from app.studies.models import Study
from app.wiring import Wiring
from recordings.model import AccountId

INSTRUCTION = "the account was closed"


class CannotClose(Conflict):
    """This account cannot be closed now."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What closing would end, counted. rooms: open right now; barred: sessions planned for before the account closes,
    which are not opened any more once that is announced; members: who are no owners; held: recordings that holds
    keep, the last until held_until. closes_at: it was announced for; settled: whether anything stands against it;
    decision: whether this owner may close it today."""

    studies: int
    sessions: int
    rooms: int
    barred: int
    people: int
    recordings: int
    answers: int
    notes: int
    members: int
    held: int
    held_until: datetime | None
    closes_at: datetime | None
    settled: Decision
    decision: Decision


async def ending(db: Db, *, owner: SignedIn) -> Ending:
    """As things stand, and whether this owner may."""
    now = await now_in(db)
    held = await held_recordings(db, now)
    facts = await _facts(db, owner.since, held)
    closes_at = await db.scalar(select(Account.closes_at))
    return Ending(
        studies=await _count(db, Study),
        sessions=await _count(db, Session),
        rooms=await _count(db, Session, Session.state == SessionState.LIVE),
        barred=await _count(
            db,
            Session,
            Session.state == SessionState.SCHEDULED,
            Session.starts_at > now,
            Session.starts_at < (closes_at or closing_day(now)),
        ),
        people=await _count(db, Participant, Participant.erased_at.is_(None)),
        recordings=await _count(db, Recording, Recording.erased_at.is_(None)),
        answers=await _count(db, Response, Response.erased_at.is_(None)),
        notes=await _count(db, Note),
        members=await _count(db, Member, Member.role != Role.OWNER, Member.removed_at.is_(None)),
        held=len(held),
        held_until=max((row.held_until for row in held if row.held_until is not None), default=None),
        closes_at=closes_at,
        settled=settled(facts),
        decision=may_close(facts, now),
    )


async def announce(db: Db, wiring: Wiring, *, owner: SignedIn) -> datetime:
    """All owners and the platform's contact are mailed; nothing new begins. Announcing again changes nothing. Returns
    the day. Raises CannotClose, AccountIsClosed."""
    row = await _row(db, owner)
    now = await now_in(db)
    _require(may_announce(owner.since, now))
    if row.closes_at is not None:
        return row.closes_at
    row.closes_at, row.closing_asked_by = closing_day(now), owner.actor
    said = ClosingAnnounced(at=now, account=owner.account, asked_by=owner.actor, closes_at=row.closes_at)
    note(db, said)
    await _note(db, row, Action.ACCOUNT_CLOSING, owner.actor)
    await tell_of_closing(db, wiring, account=owner.account, step="announced", key=str(now), closes_at=row.closes_at)
    return row.closes_at


async def keep(db: Db, wiring: Wiring, *, owner: SignedIn) -> None:
    """The announcement is taken back, and everything may begin again. Raises CannotClose, AccountIsClosed."""
    row = await _row(db, owner)
    now = await now_in(db)
    _require(may_announce(owner.since, now))
    if row.closes_at is None:
        return
    closes_at, row.closes_at, row.closing_asked_by = row.closes_at, None, None
    note(db, AccountKept(at=now, account=owner.account, asked_by=owner.actor, gives=True))
    await _note(db, row, Action.ACCOUNT_KEPT, owner.actor)
    await tell_of_closing(db, wiring, account=owner.account, step="kept", key=str(now), closes_at=closes_at)


async def close_today(db: Db, wiring: Wiring, *, owner: SignedIn) -> None:
    """For good, in this transaction: the ledger knows it before the click is answered, the job does the rest. Raises
    CannotClose, AccountIsClosed."""
    row = await _row(db, owner)
    _require((await ending(db, owner=owner)).decision)
    await _close(db, wiring, row, owner.actor)


async def close_on_its_day(db: Db, wiring: Wiring, row: Account) -> Decision:
    """The day has come: closed for good, unless something stands against it, which the owners are told once. The row is
    locked."""
    now = await now_in(db)
    if row.closes_at is None or row.closes_at > now or row.closed_at is not None:
        return Decision(allowed=False)
    decision = settled(await _facts(db, now, await held_recordings(db, now)))
    account = AccountId(row.account_id)
    if decision:
        await _close(db, wiring, row, row.closing_asked_by or "")
    else:
        key, why = str(row.closes_at), decision.reason
        await tell_of_closing(db, wiring, account=account, step="waiting", key=key, closes_at=row.closes_at, why=why)
    return decision


async def _close(db: Db, wiring: Wiring, row: Account, by: str) -> None:
    closed = AccountClosed(at=await now_in(db), account=row.account_id, asked_by=by)
    note(db, closed)
    await shut(db, row, by=by)


async def shut(db: Db, row: Account, *, by: str) -> None:
    """From here on nobody but owners signs in, and they see the erasures only; the job begins. The row is locked."""
    row.closed_at = await now_in(db)
    row.closes_at, row.closing_asked_by = min(row.closes_at or row.closed_at, row.closed_at), by
    await _note(db, row, Action.ACCOUNT_CLOSED, by)
    await enqueue_closing(db, AccountId(row.account_id))


async def enqueue_closing(db: Db, account: AccountId) -> bool:
    """False when the job waits already."""
    instruction = f"account:{account}"
    return await enqueue(db, "close_account", instruction=instruction, key=f"close-{account}", account_id=account)


async def let_nobody_in(db: Db, account: AccountId) -> None:
    """Whatever signs anybody in to this account ends with this transaction."""
    for model in (Login, SignInLink, Passkey):
        await db.execute(delete(model))
    await db.execute(delete(SignInAddress).where(SignInAddress.account == account))


async def held_recordings(db: Db, now: datetime) -> list[Recording]:
    """Recordings that a hold keeps now."""
    found = select(Recording, Session).join(Session, Session.id == Recording.session_id)
    found = found.where(Recording.held_reason.is_not(None), Recording.erased_at.is_(None))
    return [row for row, session in (await db.execute(found)).tuples() if is_held(recording_facts(row, session), now)]


async def _facts(db: Db, signed_in_at: datetime, held: list[Recording]) -> ClosingFacts:
    return ClosingFacts(
        signed_in_at=signed_in_at,
        unanswered=await _count(
            db, DataRequest, DataRequest.state.in_(UNANSWERED), DataRequest.erasure_id.is_(None)
        ),  # erasures that were asked for go on by themselves
        endless_holds=sum(row.held_until is None for row in held),
    )


async def _row(db: Db, owner: SignedIn) -> Account:
    """Of two who click at once, one waits. Raises AccountIsClosed."""
    row = await db.get_one(Account, owner.account, with_for_update=True, populate_existing=True)
    if row.closed_at is not None:
        raise AccountIsClosed
    return row


def _require(decision: Decision) -> None:
    if not decision:
        raise CannotClose(decision.reason)


async def _note(db: Db, row: Account, action: Action, by: str) -> None:
    await record(db, account=row.account_id, actor=by, action=action, subject=f"account:{row.account_id}")


async def _count(db: Db, model: type[Base], *where: ColumnElement[bool]) -> int:
    return await db.scalar(select(func.count()).select_from(model).where(*where)) or 0
