"""Noting a request for a participant who phoned, wrote or said it: the same request as by their own hand, counted from
the day it came in, with the member who wrote it down in the log and a mail to the registered address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select

from app.database import Db, now_in
from app.decisions import ALLOWED, Decision, refused
from app.errors import NotThere
from app.participants.consents import standing_consents
from app.participants.models import Participant
from app.participants.service import NAME_FIELD, study_notice
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import REQUEST, receipt_token
from app.privacy.erasing.service import ask_erasure
from app.privacy.erasing.withdrawal import withdraw
from app.privacy.records.models import DataRequest, ErasureReason, RequestKind, RequestState, RequestWay
from app.privacy.records.register import Noted, note_request, receipt_number
from app.privacy.rights.proof import unproven
from app.privacy.rights.requests import add_words, ask
from app.privacy.rights.telling import tell_participant
from app.privacy.rights.where_invited import places_of
from app.studies.models import ConsentKind
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, SessionId

LONGEST_AGO = timedelta(days=366)
EAST = timedelta(hours=3)
"""A day begins first in the east of the Union."""
FOR_THE_MAIL = timedelta(minutes=10)
"""An erasure destroys the key of the mail with its own receipt, so it begins when that had time to go out; what it
is about is unreadable at once."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One consent that stands, and may be taken back."""

    session: SessionId
    kind: ConsentKind
    title: str

    @property
    def value(self) -> str:
        return f"{self.session}/{self.kind}"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a member wrote down. consents: for a withdrawal, the ones taken back."""

    kind: RequestKind
    way: RequestWay
    came_on: date
    words: str
    consents: Sequence[Choice] = ()


def may_note(came_on: date, now: datetime) -> Decision:
    """Can a request have come in on this day, and still be answered?"""
    if came_on > (now + EAST).astimezone(UTC).date():
        return refused("This day has not come yet.")
    if came_on < (now - LONGEST_AGO).astimezone(UTC).date():
        return refused("This is more than a year ago. Please ask them what they wish now, and note that.")
    return ALLOWED


def came_at(came_on: date, now: datetime) -> datetime:
    """A moment of that day, in UTC the same day as everywhere in the Union; never later than now."""
    return min(datetime.combine(came_on, time(12), UTC), now)


async def find_by_address(db: Db, wiring: Wiring, *, account: AccountId, email: str) -> Participant | None:
    index = wiring.columns.blind_index(account, email)
    return await db.scalar(select(Participant).where(Participant.email_index == index))


async def who_asks(db: Db, wiring: Wiring, *, account: AccountId, participant: UUID) -> tuple[PersonId, str]:
    """Their id and name. Raises NotThere for somebody who was erased or never was."""
    row = await db.get(Participant, participant)
    if row is None or row.erased_at is not None:
        raise NotThere
    person = PersonId(row.id)
    return person, wiring.columns.open(account, person, NAME_FIELD, row.name)


async def standing_choices(db: Db, participant: PersonId) -> list[Choice]:
    """What they could take back, session by session."""
    found = []
    for place in await places_of(db, participant=participant):
        session = SessionId(place.session.id)
        stands = await standing_consents(db, session=session, participant=participant)
        found += [
            Choice(session=session, kind=kind, title=place.session.title) for kind in ConsentKind if kind in stands
        ]
    return found


async def note_for(
    db: Db, wiring: Wiring, *, account: AccountId, participant: PersonId, wish: Wish, by: PersonId
) -> list[DataRequest]:
    """The requests it became, one for each consent taken back, else one; what stood already is added to. The caller
    pushes changed permissions once this is committed. Raises NotThere."""
    now = await now_in(db)
    noted = Noted(by=by, way=wish.way, came=came_at(wish.came_on, now))
    if wish.kind is RequestKind.ERASURE:
        rows = [await _erase(db, account, participant, noted, now)]
    elif wish.kind is RequestKind.WITHDRAWAL:
        rows = [await _withdraw(db, wiring, account, participant, one, noted, now) for one in wish.consents]
    else:
        rows = [await ask(db, wiring, account=account, participant=participant, kind=wish.kind, noted=noted)]
    for row in rows:
        await add_words(db, wiring.columns, row, wish.words)
    return await _told(db, wiring, rows, wish)


async def _erase(db: Db, account: AccountId, participant: PersonId, noted: Noted, now: datetime) -> DataRequest:
    erasure = await ask_erasure(
        db,
        account=account,
        person=participant,
        reason=ErasureReason.REQUEST,
        asked_by=noted.actor,
        instruction="request of the participant, written down by a member",
        noted=noted,
        waits=FOR_THE_MAIL,
    )
    row = await _of_erasure(db, erasure.id)
    if row is not None:
        return row
    return await note_request(  # it was going on for another reason
        db,
        account=account,
        participant=participant,
        kind=RequestKind.ERASURE,
        state=RequestState.OPEN,
        now=now,
        receipt=erasure.receipt,
        erasure=erasure.id,
        noted=noted,
    )


async def _withdraw(
    db: Db, wiring: Wiring, account: AccountId, participant: PersonId, choice: Choice, noted: Noted, now: datetime
) -> DataRequest:
    places = await places_of(db, participant=participant, session=choice.session)
    _facts, notice = await study_notice(db, wiring.columns, wiring.settings, account=account, study=places[0].study)
    erasure = await withdraw(
        db,
        account=account,
        participant=participant,
        session=choice.session,
        kind=choice.kind,
        shown=notice,
        noted=noted,
    )
    row = await _of_erasure(db, erasure.id) if erasure else None
    if row is not None:
        return row
    return await note_request(  # nothing was recorded under it: it is done
        db,
        account=account,
        participant=participant,
        kind=RequestKind.WITHDRAWAL,
        state=RequestState.DONE,
        now=now,
        receipt=receipt_number(now),
        noted=noted,
    )


async def _of_erasure(db: Db, erasure: UUID) -> DataRequest | None:
    return await db.scalar(select(DataRequest).where(DataRequest.erasure_id == erasure).limit(1))


async def _told(db: Db, wiring: Wiring, rows: list[DataRequest], wish: Wish) -> list[DataRequest]:
    """One mail with the receipts. Its link leads to My data, behind the code; that of an erasure to its receipt."""
    first, key = rows[0], signing_key(wiring.settings.data_dir)
    account = AccountId(first.account_id)
    if first.kind == RequestKind.ERASURE and first.erasure_id is not None:
        path = f"/receipt/{receipt_token(key, account, first.erasure_id)}"
    else:
        path = f"/asked/{receipt_token(key, account, first.id, REQUEST)}"
    await tell_participant(
        db,
        wiring,
        participant=PersonId(first.participant_id),
        template="request_noted",
        key=f"noted-{first.id}-{uuid4()}",
        context={
            "kind": first.kind,
            "way": str(wish.way),
            "came_on": wish.came_on,
            "receipts": ", ".join(row.receipt for row in rows),
            "due_on": first.due_on,
            "link": wiring.settings.public_url.rstrip("/") + path,
            "proof": unproven(first),
        },
    )
    return rows
