"""The register of participants' requests: each is written down with its receipt and the day it is answered by."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID, uuid4

from app.audit import Action, record
from app.database import Db
from app.privacy.records.deadline import answer_by
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from recordings.model import AccountId, PersonId

_RECEIPT_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that is read as another


def receipt_number(now: datetime) -> str:
    """What people quote: E-20261122-7KQ2MB. Not secret."""
    return f"E-{now:%Y%m%d}-" + "".join(secrets.choice(_RECEIPT_LETTERS) for _ in range(6))


async def note_request(
    db: Db,
    *,
    account: AccountId,
    participant: PersonId,
    kind: RequestKind,
    state: RequestState,
    now: datetime,
    receipt: str,
    erasure: UUID | None = None,
    request: UUID | None = None,
    actor: str | None = None,
) -> DataRequest:
    """Write it into the inbox; under the id `request` when it has one already. now: when it came in; actor: a member
    who notes it for the participant."""
    row = DataRequest(
        id=request or uuid4(),
        account_id=account,
        participant_id=participant,
        kind=kind,
        state=state,
        receipt=receipt,
        asked_at=now,
        due_on=answer_by(now),
        erasure_id=erasure,
        answered_at=now if state is RequestState.DONE else None,
    )
    db.add(row)
    await db.flush()
    await record(
        db,
        account=account,
        actor=actor or f"participant:{participant}",
        action=Action.REQUEST_RECEIVED,
        subject=f"request:{row.id}",
        facts={"kind": str(kind), "due_on": row.due_on.isoformat()},
    )
    return row
