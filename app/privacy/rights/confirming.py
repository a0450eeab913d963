"""Verbs of a request that a member wrote down: the participant says under My data whether it is theirs."""

from __future__ import annotations

from uuid import UUID

from app.audit import Action, record
from app.database import Db, now_in
from app.errors import NotThere
from app.privacy.records.models import DataRequest, RequestState
from app.privacy.rights.proof import unproven
from app.privacy.rights.requests import NotNow, find_request
from app.privacy.rights.telling import tell_owners
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


async def confirm(db: Db, wiring: Wiring, *, participant: PersonId, request: UUID) -> DataRequest:
    """Theirs: the owners hear that it can be carried out. Raises NotThere for anybody else's, NotNow."""
    row = await _mine_waiting(db, participant, request)
    row.confirmed_at = await now_in(db)
    await _say(db, row, Action.REQUEST_CONFIRMED)
    await tell_owners(
        db,
        wiring,
        account=AccountId(row.account_id),
        template="request_received",
        key=f"request-confirmed-{row.id}",
        context={"kind": row.kind, "receipt": row.receipt, "due_on": row.due_on, "request": row.id, "confirmed": True},
    )
    return row


async def disown(db: Db, *, participant: PersonId, request: UUID) -> DataRequest:
    """Not theirs: it ends here, and nothing of it is carried out. Raises NotThere for anybody else's, NotNow."""
    row = await _mine_waiting(db, participant, request)
    row.state, row.answered_at = RequestState.REFUSED, await now_in(db)
    await _say(db, row, Action.REQUEST_DISOWNED)
    return row


async def _mine_waiting(db: Db, participant: PersonId, request: UUID) -> DataRequest:
    row = await find_request(db, request)
    if row.participant_id != participant:
        raise NotThere
    if not unproven(row):
        raise NotNow
    return row


async def _say(db: Db, row: DataRequest, action: Action) -> None:
    actor = f"participant:{row.participant_id}"
    await record(
        db,
        account=row.account_id,
        actor=actor,
        action=action,
        subject=f"request:{row.id}",
        facts={"kind": row.kind},
    )
