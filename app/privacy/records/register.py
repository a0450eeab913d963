"""The register of participants' requests: each is written down with its receipt and the day it is answered by."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from app.audit import Action, record
from app.database import Db
from app.privacy.records.deadline import answer_by
from app.privacy.records.models import DataRequest, RequestKind, RequestState, RequestWay
from recordings.model import AccountId, PersonId

_RECEIPT_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that is read as another


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A participant asked outside these pages, and a member wrote it down for them. came: when it reached them."""

    by: PersonId
    way: RequestWay
    came: datetime

    @property
    def actor(self) -> str:
        return f"member:{self.by}"


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
    noted: Noted | None = None,
) -> DataRequest:
    """Write it into the inbox; under the id `request` when it has one already. The month counts from the day it came
    in, also where a member notes it later."""
    came = noted.came if noted else now
    row = DataRequest(
        id=request or uuid4(),
        account_id=account,
        participant_id=participant,
        kind=kind,
        state=state,
        receipt=receipt,
        asked_at=came,
        due_on=answer_by(came),
        erasure_id=erasure,
        answered_at=now if state is RequestState.DONE else None,
        way=noted.way if noted else None,
        noted_by=noted.by if noted else None,
    )
    db.add(row)
    await db.flush()
    await record_request(db, row, noted)
    return row


async def record_request(db: Db, row: DataRequest, noted: Noted | None) -> None:
    """Into the audit log: asked by the participant, or noted for them by a member."""
    facts = {"kind": row.kind, "due_on": row.due_on.isoformat()}
    await record(
        db,
        account=AccountId(row.account_id),
        actor=noted.actor if noted else f"participant:{row.participant_id}",
        action=Action.REQUEST_NOTED if noted else Action.REQUEST_RECEIVED,
        subject=f"request:{row.id}",
        facts=facts | {"way": str(noted.way), "participant": str(row.participant_id)} if noted else facts,
    )
