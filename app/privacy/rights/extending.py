"""More time for a request: two further months where it is complex, once, and only with the participant told why before
the first month is over (GDPR Art. 12(3))."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from app.audit import Action, record
from app.database import Db, now_in
from app.decisions import ALLOWED, Decision, refused
from app.privacy.records.deadline import EXTENDED_MONTHS, answer_by
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from app.privacy.rights.requests import EXTENSION_FIELD, NotNow, find_request, may_answer
from app.privacy.rights.telling import tell_participant
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


def may_extend(
    kind: RequestKind, state: RequestState, *, extended_at: datetime | None, due_on: date, today: date
) -> Decision:
    """May the owner take longer for it?"""
    decision = may_answer(kind, state)
    if not decision:
        return decision
    if extended_at is not None:
        return refused("More time was taken for this request already; that is possible once.")
    if today > due_on:
        return refused("The month is over. More time has to be taken before it ends.")
    return ALLOWED


async def extend(db: Db, wiring: Wiring, *, request: UUID, words: str, by: PersonId) -> DataRequest:
    """The participant is mailed the reason and the new day. Raises NotThere, NotNow."""
    row = await find_request(db, request)
    now = await now_in(db)
    decision = may_extend(
        RequestKind(row.kind),
        RequestState(row.state),
        extended_at=row.extended_at,
        due_on=row.due_on,
        today=now.astimezone(UTC).date(),
    )
    if not decision:
        raise NotNow(decision.reason)
    account, participant = AccountId(row.account_id), PersonId(row.participant_id)
    row.due_on, row.extended_at = answer_by(row.asked_at, EXTENDED_MONTHS), now
    row.extension = wiring.columns.seal(account, participant, EXTENSION_FIELD, words)
    await tell_participant(
        db,
        wiring,
        participant=participant,
        template="request_extended",
        key=f"extended-{row.id}",
        context={"receipt": row.receipt, "due_on": row.due_on, "words": words},
    )
    await record(
        db,
        account=account,
        actor=f"member:{by}",
        action=Action.REQUEST_EXTENDED,
        subject=f"request:{row.id}",
        facts={"kind": row.kind, "due_on": row.due_on.isoformat()},
    )
    return row
