"""The register of participants' requests: each is written down with its receipt and the day it is answered by.

It is kept for three years after it was settled, in which somebody may ask whether it was answered rightly. Then its row
goes; its lines in the audit log and the certificate of an erasure stay.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, select

from app.audit import SYSTEM, Action, record
from app.database import Db
from app.privacy.records.deadline import answer_by
from app.privacy.records.models import DataRequest, RequestItem, RequestKind, RequestState, RequestWay
from recordings.model import AccountId, PersonId

_RECEIPT_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that is read as another

KEPT_YEARS = 3
SETTLED = (RequestState.DONE, RequestState.REFUSED)


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


def kept_until(state: str, answered_at: datetime | None) -> datetime | None:
    """When the register forgets a request; None while it is not settled. From 29 February to 28 February."""
    if state not in SETTLED or answered_at is None:
        return None
    settled = answered_at.astimezone(UTC)
    try:
        return settled.replace(year=settled.year + KEPT_YEARS)
    except ValueError:
        return settled.replace(year=settled.year + KEPT_YEARS, day=28)


async def forget_requests(db: Db, *, account: AccountId, requests: Collection[UUID], now: datetime) -> int:
    """Delete those of these whose time is over. Returns how many. Safe to run twice."""
    rows = await db.scalars(select(DataRequest).where(DataRequest.id.in_(requests)).with_for_update(skip_locked=True))
    old = [row for row in rows if (until := kept_until(row.state, row.answered_at)) is not None and until <= now]
    for row in old:
        subject = f"request:{row.id}"
        await record(db, account=account, actor=SYSTEM, action=Action.REQUEST_FORGOTTEN, subject=subject)
    gone = [row.id for row in old]
    await db.execute(delete(RequestItem).where(RequestItem.request_id.in_(gone)))
    await db.execute(delete(DataRequest).where(DataRequest.id.in_(gone)))
    return len(old)
