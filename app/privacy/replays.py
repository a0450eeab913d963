"""What is done again of each kind of line of the ledger, when the database was restored from before it.

After it the database is never more permissive than the one that was lost; where the ledger cannot know enough to be as
permissive (a new address, a member who came back), people are asked anew. Each function runs in a transaction of its
own with the account set, is safe to run again, and tells what it found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from app.accounts.members import shut_out
from app.accounts.models import Account, Login, Member, Passkey
from app.database import Db, now_in
from app.invitations.models import Invitation
from app.invitations.service import close_link
from app.ledger_entries import (
    AccountClosed,
    AccountGone,
    AccountKept,
    AddressCorrected,
    Assigned,
    ClosingAnnounced,
    ConsentWithdrawn,
    Entry,
    Erased,
    ErasureAsked,
    ErasureBegun,
    ErasureComplete,
    InvitationRevoked,
    KeptFor,
    MemberIs,
    PasskeyRemoved,
    PasskeysNeeded,
    RecordingHeld,
    Restricted,
    SessionMails,
    StudyIs,
    StudySeenBy,
    Suppressed,
)
from app.mail.service import is_suppressed, stop_waiting, suppress
from app.participants.models import AddressChange, Consent, ConsentPurpose, DataCode, Participant
from app.privacy.erasing.erase_job import enqueue_erasure
from app.privacy.erasing.lines import row_of
from app.privacy.erasing.policy import kinds_withdrawn
from app.privacy.erasing.rows import hide
from app.privacy.erasing.scope import plan_erasure
from app.privacy.erasing.service import REQUESTED, close_kinds
from app.privacy.keeping.closing import let_nobody_in
from app.privacy.keeping.closing_steps import close_account_again
from app.privacy.records.models import (
    DataRequest,
    Erasure,
    ErasureReason,
    ErasureState,
    RequestKind,
    RequestState,
    RequestWay,
)
from app.privacy.records.register import Noted, note_request
from app.privacy.replays_of_keeping import close_again, hold_again, keep_again
from app.privacy.replays_of_sight import assign_again, limit_again
from app.privacy.rights.requests import UNANSWERED, restrict
from app.sessions.models import Recording
from app.studies.models import ConsentKind
from recordings.model import AccountId, PersonId


class Found(Enum):
    """KNOWN: the database knew it. DONE: it was done again. TO_ERASE: what is left to do is to run the erasure."""

    KNOWN = auto()
    DONE = auto()
    TO_ERASE = auto()


async def do_again(db: Db, entry: Entry) -> Found:
    """What belongs to an account that was made after the backup is gone with it."""
    if await db.get(Account, entry.account) is None:
        return Found.KNOWN
    return await REPLAYS[type(entry)](db, entry)


async def _ask_again(db: Db, entry: ErasureAsked) -> Found:
    """It had not begun when the database was lost, or nobody knows that it had: unreadable now, and a worker's job."""
    if await db.get(Erasure, entry.erasure) is not None:
        return Found.KNOWN
    way = RequestWay(entry.way) if entry.way else None
    noted = (
        Noted(by=PersonId(entry.noted_by), way=way, came=entry.came) if entry.noted_by and way and entry.came else None
    )
    row = await _anew(db, entry, noted)
    await _unreadable(db, row)
    return Found.DONE


async def _erase(db: Db, entry: Erased) -> Found:
    """Hidden now; running it again destroys, closes the rows and certifies."""
    row = await db.get(Erasure, entry.erasure, with_for_update=True)
    complete = isinstance(entry, ErasureComplete)
    if row is not None and (row.state == ErasureState.COMPLETE or (row.tries > 0 and not complete)):
        return Found.KNOWN  # finished, or being tried
    if complete:
        await _lift_holds(db, entry)
    if row is None:
        row = await _anew(db, entry)
    await _unreadable(db, row)
    return Found.TO_ERASE


async def _anew(db: Db, entry: Erased, noted: Noted | None = None) -> Erasure:
    """As it was asked, with the request it carries out, and a job should this program die before it ran."""
    row = row_of(entry)
    db.add(row)
    await db.flush()
    kind, person = REQUESTED.get(ErasureReason(entry.reason)), await db.get(Participant, entry.person)
    if kind is not None and person is not None and person.erased_at is None:
        await note_request(
            db,
            account=AccountId(entry.account),
            participant=PersonId(entry.person),
            kind=kind,
            state=RequestState.OPEN,
            now=entry.asked_at,
            receipt=entry.receipt,
            erasure=entry.erasure,
            noted=noted,
        )
    await enqueue_erasure(db, row)
    return row


async def _unreadable(db: Db, row: Erasure) -> None:
    now = await now_in(db)
    if row.track_kinds is not None:
        await close_kinds(db, row, now)
    await hide(db, await plan_erasure(db, row, now), now)


async def _lift_holds(db: Db, entry: Erased) -> None:
    """A hold from before the backup had been lifted when this was erased."""
    mine = update(Recording).where(Recording.person_id == entry.person, Recording.held_reason.is_not(None))
    if entry.recordings is not None:
        mine = mine.where(Recording.id.in_(entry.recordings))
    await db.execute(mine.values(held_reason=None, held_until=None, held_words=None))


async def _suppress(db: Db, entry: Suppressed) -> Found:
    address = bytes.fromhex(entry.address)
    if await is_suppressed(db, address_index=address):
        return Found.KNOWN
    await suppress(db, account=AccountId(entry.account), address_index=address)
    for person in await db.scalars(select(Participant.id).where(Participant.email_index == address)):
        await stop_waiting(db, person=PersonId(person))
    return Found.DONE


async def _forget_address(db: Db, entry: AddressCorrected) -> Found:
    """The old address opens nothing and gets nothing. Of the new one its keyed hash is known: who invites the person
    anew is told that it is the same, and it counts again (invitations.service.invite)."""
    row = await db.get(Participant, entry.person, with_for_update=True)
    address = bytes.fromhex(entry.address)
    if row is None or row.erased_at is not None or row.email_index == address:
        return Found.KNOWN
    row.email = row.email_index = None
    await db.flush()
    try:
        async with db.begin_nested():
            row.email_index = address
    except IntegrityError:  # somebody who was erased since the backup had it before, and is not erased again yet
        await db.refresh(row)
    for model in (DataCode, AddressChange):
        await db.execute(delete(model).where(model.participant_id == row.id))
    await db.execute(update(Login).where(Login.participant_id == row.id).values(data_until=None))
    return Found.DONE


async def _write_about_sessions(db: Db, entry: SessionMails) -> Found:
    row = await db.get(Participant, entry.person, with_for_update=True)
    if row is None or row.erased_at is not None or (row.no_session_mails_at is None) == entry.wanted:
        return Found.KNOWN
    row.no_session_mails_at = None if entry.wanted else entry.at
    return Found.DONE


async def _withdraw(db: Db, entry: ConsentWithdrawn) -> Found:
    """What was withdrawn is not recorded again, although the backup remembers a consent."""
    if await db.get(Participant, entry.person, with_for_update=True) is None:
        return Found.KNOWN
    log = select(Consent).where(Consent.participant_id == entry.person, Consent.session_id == entry.session)
    log = log.where(Consent.kind == entry.kind, Consent.purpose == ConsentPurpose.RESEARCH)
    last = (await db.scalars(log.order_by(Consent.number.desc()).limit(1))).first()
    if last is None or not last.given or last.at > entry.at:
        return Found.KNOWN
    db.add(
        Consent(
            account_id=entry.account,
            participant_id=entry.person,
            session_id=entry.session,
            kind=entry.kind,
            given=False,
            text_version=last.text_version,
            text_hash=last.text_hash,
            language=last.language,
        )
    )
    recorded = select(Recording.id).where(Recording.person_id == entry.person, Recording.session_id == entry.session)
    closed = Erasure(
        person_id=entry.person,
        recording_ids=list(await db.scalars(recorded)),
        track_kinds=sorted(kinds_withdrawn(ConsentKind(entry.kind))),
    )
    await close_kinds(db, closed, await now_in(db))
    return Found.DONE


async def _restrict(db: Db, entry: Restricted) -> Found:
    """Asked again by the ledger; what the person wrote is lost with the database, and who lifts it tells them."""
    if await db.get(Participant, entry.person, with_for_update=True) is None:
        return Found.KNOWN
    account, person, kind = AccountId(entry.account), PersonId(entry.person), RequestKind(entry.kind)
    row = await db.get(DataRequest, entry.request)
    if row is not None and row.state not in UNANSWERED:
        return Found.KNOWN
    if row is None:
        await note_request(
            db,
            account=account,
            participant=person,
            kind=kind,
            state=RequestState.IN_FORCE if kind is RequestKind.RESTRICTION else RequestState.OPEN,
            now=entry.at,
            receipt=entry.receipt,
            request=entry.request,
        )
    closed = await restrict(db, account, person, entry.at)
    return Found.DONE if closed or row is None else Found.KNOWN


async def _revoke(db: Db, entry: InvitationRevoked) -> Found:
    row = await db.scalar(select(Invitation).where(Invitation.token_hash == bytes.fromhex(entry.link)))
    if row is None or row.revoked_at is not None:
        return Found.KNOWN
    await close_link(db, row)
    return Found.DONE


async def _member(db: Db, entry: MemberIs) -> Found:
    """Who was removed is out. Who was added again since stays out, until an owner adds them once more."""
    row = await db.get(Member, entry.member, with_for_update=True)
    if row is None or row.removed_at is not None or row.role == entry.role:
        return Found.KNOWN
    if entry.role is None:
        await shut_out(db, row)
    else:
        row.role = entry.role
    return Found.DONE


async def _remove_passkey(db: Db, entry: PasskeyRemoved) -> Found:
    gone = await db.scalar(delete(Passkey).where(Passkey.id == entry.passkey).returning(Passkey.id))
    return Found.DONE if gone else Found.KNOWN


async def _need_passkeys(db: Db, entry: PasskeysNeeded) -> Found:
    row = await db.get_one(Account, entry.account, with_for_update=True)
    if row.passkeys_needed == entry.needed:
        return Found.KNOWN
    row.passkeys_needed = entry.needed
    return Found.DONE


async def _announce_closing(db: Db, entry: ClosingAnnounced) -> Found:
    """It closes on the day that was said, or now if that is past."""
    row = await db.get_one(Account, entry.account, with_for_update=True)
    if row.closed_at is not None or row.closes_at == entry.closes_at:
        return Found.KNOWN
    row.closes_at, row.closing_asked_by = entry.closes_at, entry.asked_by
    return Found.DONE


async def _keep_account(db: Db, entry: AccountKept) -> Found:
    """What the backup remembers of a closing was taken back; what it says is closed stays closed."""
    row = await db.get_one(Account, entry.account, with_for_update=True)
    if row.closed_at is not None or row.closes_at is None:
        return Found.KNOWN
    row.closes_at = row.closing_asked_by = None
    return Found.DONE


async def _close_account(db: Db, entry: AccountClosed | AccountGone) -> Found:
    """What came into the backup before it was closed goes as it went then. Of an account that was gone the key is
    destroyed: nobody signs in to what cannot be read."""
    row = await db.get_one(Account, entry.account, with_for_update=True)
    if row.gone_at is not None or (row.closed_at is not None and isinstance(entry, AccountClosed)):
        return Found.KNOWN
    if isinstance(entry, AccountGone):
        await let_nobody_in(db, AccountId(entry.account))
    if row.closed_at is None:
        await close_account_again(db, row, by=entry.asked_by)
    return Found.DONE


def _by(again: Callable[[Db, Any], Awaitable[bool]]) -> Callable[[Db, Any], Awaitable[Found]]:
    async def replay(db: Db, entry: Entry) -> Found:
        return Found.DONE if await again(db, entry) else Found.KNOWN

    return replay


REPLAYS: Mapping[type[Entry], Callable[[Db, Any], Awaitable[Found]]] = {
    ErasureAsked: _ask_again,
    ErasureBegun: _erase,
    ErasureComplete: _erase,
    Suppressed: _suppress,
    AddressCorrected: _forget_address,
    SessionMails: _write_about_sessions,
    ConsentWithdrawn: _withdraw,
    Restricted: _restrict,
    InvitationRevoked: _revoke,
    MemberIs: _member,
    PasskeyRemoved: _remove_passkey,
    PasskeysNeeded: _need_passkeys,
    ClosingAnnounced: _announce_closing,
    AccountKept: _keep_account,
    RecordingHeld: _by(hold_again),
    KeptFor: _by(keep_again),
    StudyIs: _by(close_again),
    StudySeenBy: _by(limit_again),
    Assigned: _by(assign_again),
    AccountClosed: _close_account,
    AccountGone: _close_account,
}
