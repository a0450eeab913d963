"""Correcting one's address (GDPR Art. 16): a code mailed to the new one proves it, and the old one is told.

Whoever reads the old mailbox opens nothing any more from that moment: codes go to the new address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from app.accounts.models import Login
from app.audit import Action, record
from app.database import Db, note, now_in
from app.decisions import Decision, refused
from app.errors import NotThere, TooManyTries
from app.ledger_entries import AddressCorrected
from app.mail.service import is_suppressed, readdress, unsubscribe_address
from app.participants.models import AddressChange, DataCode, Participant
from app.participants.policy import CODE_WINDOW, CodeFacts, may_ask_code, may_try_code
from app.participants.service import ADDRESS_FIELD, EMAIL_FIELD
from app.privacy.erasing.recipients import tell_of_correction
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from app.privacy.records.register import note_request, receipt_number
from app.privacy.rights.telling import tell_participant
from app.sessions.disclosure_models import Disclosed
from app.tokens import CODE_LIFE, new_code, same, token_hash
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


@dataclass(frozen=True, kw_only=True)
class AddressAsked:
    """A new address with the code that proves it, on its way out: nothing of it is kept as it stands here."""

    change: UUID
    account: AccountId
    participant: PersonId
    email: str = field(repr=False)
    code: str = field(repr=False)


async def ask_address(db: Db, wiring: Wiring, *, account: AccountId, participant: PersonId, email: str) -> AddressAsked:
    """Keep what was typed; a code mailed before stops working. What stands changes only with the new code, which
    `mail_address_code` sends once this is committed and answered. Raises NotThere, TooManyTries."""
    row = await _locked(db, participant)
    now = await now_in(db)
    asked = select(func.count()).where(
        AddressChange.participant_id == participant, AddressChange.asked_at > now - CODE_WINDOW
    )
    decision = may_ask_code(await db.scalar(asked) or 0)
    if not decision:
        raise TooManyTries(decision.reason)
    old = delete(AddressChange).where(AddressChange.participant_id == participant)
    await db.execute(old.where(AddressChange.asked_at <= now - CODE_WINDOW))
    code, columns = new_code(), wiring.columns
    change = AddressChange(
        id=uuid4(),
        account_id=account,
        participant_id=participant,
        address=columns.seal(account, participant, ADDRESS_FIELD, email),
        code_hash=_code_hash(participant, code),
        asked_at=now,
        expires_at=now + CODE_LIFE,
    )
    db.add(change)
    await record(db, account=account, actor=_actor(row), action=Action.ADDRESS_CODE_ASKED, subject=_actor(row))
    return AddressAsked(change=change.id, account=account, participant=participant, email=email, code=code)


async def mail_address_code(wiring: Wiring, asked: AddressAsked) -> None:
    """An address that somebody else of the account has gets no mail: who takes part here is told to nobody, neither by
    the answer nor by how long it takes, so that this comes after it."""
    async with wiring.database.transaction(asked.account) as db:
        row = await db.get(Participant, asked.participant)
        if row is None or await _has_somebody_else(db, row, wiring.columns.blind_index(asked.account, asked.email)):
            return
        key = f"address-code-{asked.change}"
        await _mail(db, wiring, row, "address_code", key, asked.email, {"code": asked.code})


async def pending_change(db: Db, participant: PersonId) -> AddressChange | None:
    """The one whose code can be typed now."""
    newest = await _newest(db, participant)
    return newest if newest is not None and await now_in(db) < newest.expires_at else None


async def confirm_address(
    db: Db, wiring: Wiring, *, account: AccountId, participant: PersonId, login: UUID, code: str
) -> Decision:
    """With the right code the new address counts at once and everywhere; every wrong one counts. An unsubscription
    moves along. login: who confirms; every other one that was opened by the old address is closed to stored data.
    Never raises for a code, so that counting is kept. Raises NotThere."""
    row = await _locked(db, participant)
    change = await _newest(db, participant)
    now = await now_in(db)
    facts = CodeFacts(expires_at=change.expires_at, tries=change.tries, used=False) if change else None
    decision = may_try_code(facts, now)
    if change is None or not decision:
        return decision
    change.tries += 1
    if not same(change.code_hash, _code_hash(participant, code)):
        return refused("This is not the code we mailed. Please look again.")
    columns = wiring.columns
    email = columns.open(account, participant, ADDRESS_FIELD, change.address)
    before, before_index = columns.open(account, participant, EMAIL_FIELD, row.email), row.email_index
    try:
        async with db.begin_nested():
            row.email_index = columns.blind_index(account, email)
            row.email = columns.seal(account, participant, EMAIL_FIELD, email)
    except IntegrityError:
        await db.refresh(row)
        return refused("This address cannot be used here. Please write to the contact named below.")
    assert row.email_index is not None
    address = row.email_index.hex()
    note(db, AddressCorrected(at=now, account=account, person=participant, address=address))
    if before_index is not None and await is_suppressed(db, address_index=before_index):
        await unsubscribe_address(db, account=account, address_index=row.email_index)
    await readdress(db, columns, account=account, person=participant, email=email)
    await _mail(db, wiring, row, "address_changed", f"address-changed-{change.id}", before, {})
    for model in (AddressChange, DataCode):
        await db.execute(delete(model).where(model.participant_id == participant))
    others = update(Login).where(Login.participant_id == participant, Login.id != login)
    await db.execute(others.values(data_until=None))
    await tell_of_correction(db, wiring, await _note(db, account, row, now), {Disclosed.CONTACT})
    return decision


async def _note(db: Db, account: AccountId, row: Participant, now: datetime) -> DataRequest:
    await record(db, account=account, actor=_actor(row), action=Action.ADDRESS_CORRECTED, subject=_actor(row))
    return await note_request(
        db,
        account=account,
        participant=PersonId(row.id),
        kind=RequestKind.RECTIFICATION,
        state=RequestState.DONE,
        now=now,
        receipt=receipt_number(now),
    )


async def _locked(db: Db, participant: PersonId) -> Participant:
    row = await db.get(Participant, participant, with_for_update=True)
    if row is None or row.erased_at is not None or row.email is None:
        raise NotThere
    return row


async def _newest(db: Db, participant: PersonId) -> AddressChange | None:
    mine = select(AddressChange).where(AddressChange.participant_id == participant)
    return await db.scalar(mine.order_by(AddressChange.asked_at.desc(), AddressChange.id).limit(1))


async def _has_somebody_else(db: Db, row: Participant, index: bytes) -> bool:
    other = select(Participant.id).where(Participant.email_index == index, Participant.id != row.id)
    return await db.scalar(other) is not None


async def _mail(
    db: Db, wiring: Wiring, row: Participant, template: str, key: str, to: str, context: dict[str, object]
) -> None:
    facts = {"minutes": int(CODE_LIFE.total_seconds() // 60), **context}
    await tell_participant(db, wiring, participant=PersonId(row.id), template=template, key=key, context=facts, to=to)


def _actor(row: Participant) -> str:
    return f"participant:{row.id}"


def _code_hash(participant: PersonId, code: str) -> bytes:
    return token_hash(code, f"address-code:{participant}")
