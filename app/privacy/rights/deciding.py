"""The owner's decision on a request: granted, refused with a reason the law knows, or some of it each way; and the end
of a restriction. The participant is mailed what was decided, why, and where to complain (GDPR Art. 12(4))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from app.audit import Action, record
from app.database import Db, now_in
from app.decisions import ALLOWED, Decision, refused
from app.privacy.erasing.recipients import tell_of_correction
from app.privacy.records.grounds import WORDS, Ground, grounds_for
from app.privacy.records.models import DataRequest, RequestKind, RequestOutcome, RequestState
from app.privacy.rights.items import Outcome, note_outcomes
from app.privacy.rights.proof import may_carry_out, unproven
from app.privacy.rights.requests import ANSWER_FIELD, NotNow, find_request, may_answer, may_lift
from app.privacy.rights.telling import tell_participant
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

ANSWERS = (RequestOutcome.GRANTED, RequestOutcome.PARTLY, RequestOutcome.REFUSED)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an owner decided. ground: for what is refused as a whole; items: for what is granted in part."""

    outcome: RequestOutcome
    words: str
    ground: Ground | None = None
    items: Sequence[Outcome] = ()


def fits(kind: RequestKind, answer: Answer) -> Decision:
    """Has every refusal a reason that the law knows for this kind, and is what is granted in part really in part?"""
    known = grounds_for(kind)
    grounds = [one.ground for one in answer.items]
    if answer.outcome is RequestOutcome.PARTLY:
        if None not in grounds or not any(grounds):
            return refused("Some of it has to be granted and some refused; otherwise choose one of the other answers.")
        if any(ground not in known for ground in grounds if ground is not None):
            return refused("Please choose a reason of the list.")
    elif answer.items or (answer.outcome is RequestOutcome.GRANTED) != (answer.ground is None):
        return refused("What is refused needs one reason; what is granted needs none.")
    elif answer.ground is not None and answer.ground not in known:
        return refused("Please choose a reason of the list.")
    return ALLOWED


STATES: Mapping[tuple[bool, RequestOutcome], RequestState] = {
    (True, RequestOutcome.GRANTED): RequestState.IN_FORCE,
    (True, RequestOutcome.PARTLY): RequestState.LIFTING,
    (True, RequestOutcome.REFUSED): RequestState.LIFTING,
    (False, RequestOutcome.GRANTED): RequestState.DONE,
    (False, RequestOutcome.PARTLY): RequestState.DONE,
    (False, RequestOutcome.REFUSED): RequestState.REFUSED,
}
"""(an objection?, answer) -> what follows. An objection that is granted stays in force; what is refused of it is lifted
once the participant has been told."""


async def answer(db: Db, wiring: Wiring, *, request: UUID, given: Answer, by: PersonId) -> DataRequest:
    """The owner's answer, mailed to the participant. Raises NotThere, NotNow."""
    row = await find_request(db, request)
    kind = RequestKind(row.kind)
    for decision in (may_answer(kind, RequestState(row.state)), fits(kind, given)):
        if not decision:
            raise NotNow(decision.reason)
    if given.outcome is not RequestOutcome.REFUSED and not (proven := may_carry_out(unproven(row))):
        raise NotNow(proven.reason)
    note_outcomes(db, row, given.items)
    await _decided(db, wiring, row, STATES[kind is RequestKind.OBJECTION, given.outcome], given, by)
    if kind is RequestKind.RECTIFICATION and given.outcome is not RequestOutcome.REFUSED:
        await tell_of_correction(db, wiring, row)
    return row


async def lift(db: Db, wiring: Wiring, *, request: UUID, words: str, ground: Ground, by: PersonId) -> DataRequest:
    """Tell the participant that the restriction ends; it ends once that mail is sent (GDPR Art. 18(3)).
    Raises NotThere, NotNow."""
    row = await find_request(db, request)
    decision = may_lift(RequestState(row.state))
    if not decision:
        raise NotNow(decision.reason)
    if ground not in grounds_for(RequestKind(row.kind)):
        raise NotNow("Please choose a reason of the list.")
    given = Answer(outcome=RequestOutcome.LIFTED, words=words, ground=ground)
    await _decided(db, wiring, row, RequestState.LIFTING, given, by)
    return row


async def _decided(db: Db, wiring: Wiring, row: DataRequest, state: RequestState, given: Answer, by: PersonId) -> None:
    account, participant = AccountId(row.account_id), PersonId(row.participant_id)
    row.answer = wiring.columns.seal(account, participant, ANSWER_FIELD, given.words)
    row.answered_by, row.answered_at, row.state = by, await now_in(db), state
    row.outcome, row.ground = given.outcome, given.ground
    await db.flush()
    row.mail_id = await tell_participant(
        db,
        wiring,
        participant=participant,
        template="request_answered",
        key=f"answer-{row.id}-{uuid4()}",
        context={
            "kind": row.kind,
            "receipt": row.receipt,
            "outcome": str(given.outcome),
            "words": given.words,
            "ground": WORDS[given.ground] if given.ground else "",
            "items": [{"sort": one.item.words, "title": one.item.title, "ground": one.why} for one in given.items],
        },
    )
    await record(
        db,
        account=account,
        actor=f"member:{by}",
        action=Action.REQUEST_ANSWERED,
        subject=f"request:{row.id}",
        facts={"kind": row.kind, "outcome": str(given.outcome), "ground": given.ground and str(given.ground)},
    )
