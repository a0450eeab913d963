"""Verbs of participants' requests: each gets a receipt and the day by which it is answered; what can be carried
out at once is, without anybody's leave; the rest waits for the owner."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select, update

from app.audit import Action, record
from app.database import Db, note, now_in
from app.decisions import ALLOWED, Decision, refused
from app.errors import Conflict, NotThere
from app.ledger_entries import Restricted
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.privacy.erasing.recipients import tell_recipients
from app.privacy.records.deadline import EXTENDED_MONTHS, answer_by
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from app.privacy.records.register import Noted, note_request, receipt_number, record_request
from app.privacy.rights.telling import tell_owners
from app.sealed_columns import SealedColumns
from app.sessions.disclosure_models import Change
from app.sessions.models import Recording
from app.sessions.response_models import Response
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

WORDS_FIELD = "data_request.words"
ANSWER_FIELD = "data_request.answer"
EXTENSION_FIELD = "data_request.extension"
WORDS_LENGTH = 10_000
RESTRICTING = frozenset({RequestKind.RESTRICTION, RequestKind.OBJECTION})
"""From the moment these are asked, everything recorded is kept and not used (GDPR Art. 18(1)), and what is recorded
while they stand, too."""
STANDING = frozenset({RequestState.OPEN, RequestState.IN_FORCE})
UNANSWERED = STANDING | {RequestState.LIFTING}


class NotNow(Conflict):
    """This request cannot be answered like that now."""


async def ask(
    db: Db,
    wiring: Wiring,
    *,
    account: AccountId,
    participant: PersonId,
    kind: RequestKind,
    words: str = "",
    noted: Noted | None = None,
) -> DataRequest:
    """A request by the participant, or one that a member noted for them. Asking for the same again adds the words to
    the first one, so that nobody is locked out by having asked; one that is just being lifted is over, and asking
    again is a new one. Owners are mailed. Raises NotThere."""
    person = await db.get(Participant, participant, with_for_update=True)
    if person is None or person.erased_at is not None:
        raise NotThere
    now = await now_in(db)
    same = await _standing(db, participant, kind)
    request_id = same.id if same else uuid4()
    receipt = same.receipt if same else receipt_number(now)
    if kind in RESTRICTING:
        at: datetime = await db.scalar(select(func.clock_timestamp())) or now  # after what was committed until here
        note(db, Restricted(at=at, account=account, person=participant, request=request_id, kind=kind, receipt=receipt))
        await restrict(db, account, participant, at, noted.actor if noted else None)
    if same is not None:
        await _ask_again(db, same, noted, now)
        await add_words(db, wiring.columns, same, words)
        return same
    state = RequestState.IN_FORCE if kind is RequestKind.RESTRICTION else RequestState.OPEN
    request = await note_request(
        db,
        account=account,
        participant=participant,
        kind=kind,
        state=state,
        now=now,
        receipt=receipt,
        request=request_id,
        noted=noted,
    )
    await add_words(db, wiring.columns, request, words)
    if kind in RESTRICTING:
        await tell_recipients(
            db,
            wiring,
            account=account,
            participant=participant,
            change=Change.RESTRICTED,
            cause=request.id,
            receipt=request.receipt,
        )
    await tell_owners(
        db,
        wiring,
        account=account,
        template="request_received",
        key=f"request-{request.id}",
        context={
            "kind": str(kind),
            "receipt": request.receipt,
            "due_on": request.due_on,
            "request": request.id,
            "confirmed": False,
        },
    )
    return request


async def correct_name(
    db: Db, columns: SealedColumns, *, account: AccountId, participant: PersonId, name: str
) -> DataRequest | None:
    """The participant's own word counts at once (GDPR Art. 16); None when it is the same name. Raises NotThere."""
    row = await db.get(Participant, participant, with_for_update=True)
    if row is None or row.erased_at is not None:
        raise NotThere
    if columns.open(account, participant, NAME_FIELD, row.name) == name:
        return None
    row.name = columns.seal(account, participant, NAME_FIELD, name)
    now = await now_in(db)
    return await note_request(
        db,
        account=account,
        participant=participant,
        kind=RequestKind.RECTIFICATION,
        state=RequestState.DONE,
        now=now,
        receipt=receipt_number(now),
    )


def may_answer(kind: RequestKind, state: RequestState) -> Decision:
    """May the owner answer it with words now? Erasing and taking back run by themselves."""
    if kind in (RequestKind.ERASURE, RequestKind.WITHDRAWAL):
        return refused("This request is carried out by itself; its certificate is the answer.")
    if state is not RequestState.OPEN:
        return refused("This request has been answered.")
    return ALLOWED


def may_lift(state: RequestState) -> Decision:
    """May a restriction that stands be lifted?"""
    if state is RequestState.IN_FORCE:
        return ALLOWED
    return refused("There is no restriction here that stands and could be lifted.")


async def find_request(db: Db, request: UUID) -> DataRequest:
    """Locked. Raises NotThere."""
    row = await db.get(DataRequest, request, with_for_update=True)
    if row is None:
        raise NotThere
    return row


async def restrict(db: Db, account: AccountId, participant: PersonId, at: datetime, actor: str | None = None) -> int:
    """Everything recorded of them and answered by them until then is unreadable with this commit, and stays stored;
    what comes later, while it stands, is made so (sessions.service.open_take, sessions.responses). The caller has
    locked the participant. actor: who asked, where it was not they themselves. Returns how many recordings and
    responses were readable before."""
    actor = actor or f"participant:{participant}"
    stands = func.coalesce(Participant.restricted_at, at)
    await db.execute(update(Participant).where(Participant.id == participant).values(restricted_at=stands))
    answers = (
        update(Response)
        .where(
            Response.participant_id == participant,
            Response.answered_at <= at,
            Response.erased_at.is_(None),
            Response.hidden_at.is_(None),
            Response.restricted_at.is_(None),
        )
        .values(restricted_at=at)
        .returning(Response.id)
    )
    closed = len((await db.scalars(answers)).all())
    kept = (
        update(Recording)
        .where(
            Recording.person_id == participant,
            Recording.created_at <= at,
            Recording.erased_at.is_(None),
            Recording.hidden_at.is_(None),
            Recording.restricted_at.is_(None),
        )
        .values(restricted_at=at)
        .returning(Recording.id)
    )
    recordings = (await db.scalars(kept)).all()
    for recording in recordings:
        subject = f"recording:{recording}"
        await record(db, account=account, actor=actor, action=Action.RECORDING_RESTRICTED, subject=subject)
    return closed + len(recordings)


async def _standing(db: Db, participant: PersonId, kind: RequestKind) -> DataRequest | None:
    found = await db.scalars(
        select(DataRequest)
        .where(DataRequest.participant_id == participant, DataRequest.kind == kind, DataRequest.state.in_(STANDING))
        .order_by(DataRequest.asked_at)
        .limit(1)
        .with_for_update()
    )
    return found.one_or_none()


async def _ask_again(db: Db, row: DataRequest, noted: Noted | None, now: datetime) -> None:
    """The month counts from the first time; who asks here themselves has said that it is theirs."""
    if noted is None:
        if row.way is not None and row.confirmed_at is None:
            row.confirmed_at = now
        return
    if noted.came < row.asked_at:
        row.asked_at = noted.came
        row.due_on = answer_by(noted.came, EXTENDED_MONTHS if row.extended_at else 1)
    await record_request(db, row, noted)


async def add_words(db: Db, columns: SealedColumns, row: DataRequest, words: str) -> None:
    """To what was written before; the same words again change nothing."""
    account, participant = AccountId(row.account_id), PersonId(row.participant_id)
    before = columns.open(account, participant, WORDS_FIELD, row.words)
    if words and words not in before:
        both = f"{before}\n\n{words}".strip()[-2 * WORDS_LENGTH :]
        row.words = columns.seal(account, participant, WORDS_FIELD, both)
        await db.flush()
