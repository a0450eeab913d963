"""An owner who stays silent: reminders while there is time, then the platform's contact hears of it, in ids only.

A request is answered within a month (GDPR Art. 12(3)). The duty is the controller's; that nobody forgets it is ours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select

from app.audit import SYSTEM, Action, record
from app.database import Db
from app.privacy.records.deadline import days_left
from app.privacy.records.models import DataRequest, RequestState
from app.privacy.rights.telling import tell_operator, tell_owners
from app.wiring import Wiring
from recordings.model import AccountId

REMIND_AFTER = tuple(timedelta(days=days) for days in (7, 14, 21, 25))
ESCALATE_AFTER = timedelta(days=28)
REMIND_BEFORE = tuple(timedelta(days=days) for days in (21, 14, 7, 3))
ESCALATE_BEFORE = timedelta(days=2)
"""Before the later day of a request that was given more time."""


class Step(StrEnum):
    REMIND = "reminded"  # the owners
    ESCALATE = "escalated"  # the owners, and the platform's contact: it is about to be late
    LATE = "late"  # both, the day after


@dataclass(frozen=True, kw_only=True)
class Due:
    on: date
    step: Step


def schedule(asked_on: date, due_on: date, *, extended: bool) -> tuple[Due, ...]:
    """Who is told when, as long as nobody answers."""
    if extended:
        reminders, escalation = [due_on - before for before in REMIND_BEFORE], due_on - ESCALATE_BEFORE
    else:
        reminders, escalation = [asked_on + after for after in REMIND_AFTER], min(asked_on + ESCALATE_AFTER, due_on)
    steps = [Due(on=on, step=Step.REMIND) for on in reminders]
    last = [Due(on=escalation, step=Step.ESCALATE), Due(on=due_on + timedelta(days=1), step=Step.LATE)]
    return (*steps, *last)


def step_now(steps: Collection[Due], looked_on: date, today: date) -> Step | None:
    """The newest step since somebody looked; those before it that were missed are told by it."""
    fresh = [one for one in steps if looked_on < one.on <= today]
    return max(fresh, key=lambda one: one.on).step if fresh else None


async def speak_up(db: Db, wiring: Wiring, *, account: AccountId, requests: Collection[UUID], now: datetime) -> int:
    """Look at these requests once for the day of `now`; returns of how many somebody was told. Safe to run twice."""
    today = now.astimezone(UTC).date()
    rows = await db.scalars(
        select(DataRequest)
        .where(DataRequest.id.in_(requests), DataRequest.state == RequestState.OPEN, DataRequest.erasure_id.is_(None))
        .with_for_update(skip_locked=True)
    )
    told = 0
    for row in rows.all():
        asked_on = row.asked_at.astimezone(UTC).date()
        steps = schedule(asked_on, row.due_on, extended=row.extended_at is not None)
        step = step_now(steps, row.looked_on or asked_on, today)
        row.looked_on = max(today, row.looked_on or today)
        if step is not None:
            await _tell(db, wiring, account, row, step, now)
            told += 1
    return told


async def _tell(db: Db, wiring: Wiring, account: AccountId, row: DataRequest, step: Step, now: datetime) -> None:
    context = {
        "kind": row.kind,
        "receipt": row.receipt,
        "due_on": row.due_on,
        "left": days_left(row.due_on, now),
        "request": row.id,
        "account": account,
        "step": str(step),
    }
    key = f"request-{row.id}-{row.due_on}-{step}-{now.astimezone(UTC):%Y-%m-%d}"
    await tell_owners(db, wiring, account=account, template="request_waiting", key=key, context=context)
    if step is not Step.REMIND:
        await tell_operator(db, wiring, account=account, template="request_unanswered", key=key, context=context)
    action = Action.REQUEST_REMINDED if step is Step.REMIND else Action.REQUEST_ESCALATED
    subject, facts = f"request:{row.id}", {"step": str(step), "due_on": row.due_on.isoformat()}
    await record(db, account=account, actor=SYSTEM, action=action, subject=subject, facts=facts)
