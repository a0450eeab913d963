"""Verbs of a request for support access: ask, grant, refuse, end; and what the owner decides once for all of them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from app.accounts.models import Account
from app.audit import Action, record
from app.database import Db, now_in, set_account
from app.errors import Conflict, NotThere
from app.sealed_columns import SealedColumns
from app.sessions.models import Recording, Session
from app.support.login import SignedInOperator
from app.support.models import ObjectKind, SupportRequest, SupportRule
from app.support.policy import ANSWER_WITHIN, RequestFacts, grant_end, may_answer, may_ask, may_revoke
from app.support.telling import tell_of_answer, tell_of_request
from app.wiring import Wiring
from recordings.model import AccountId

REASON_FIELD = "support.reason"
NAME_FIELD = "support.operator"


class NoSuchObject(NotThere):
    """There is no such session or recording in an account with this id. Please ask the owner for both ids."""


class NotNow(Conflict):
    """This cannot be done with this request."""


async def ask(
    db: Db,
    wiring: Wiring,
    *,
    operator: SignedInOperator,
    account: AccountId,
    kind: ObjectKind,
    object_id: UUID,
    reason: str,
) -> UUID:
    """Write a request and mail the owners; nothing is opened by it. From here on the account is set. Raises
    NoSuchObject, NotNow."""
    await set_account(db, account)
    table = Session if kind is ObjectKind.SESSION else Recording
    there = await db.scalar(select(table.id).where(table.id == object_id))
    if there is None or await db.get(Account, account) is None:
        raise NoSuchObject
    mine, now = SupportRequest.operator_id == operator.operator, await now_in(db)
    unanswered = SupportRequest.answered_at.is_(None), SupportRequest.asked_at > now - ANSWER_WITHIN
    waiting = await db.scalar(select(func.count()).where(mine, *unanswered))
    decision = may_ask(waiting or 0)
    if not decision:
        raise NotNow(decision.reason)
    row = SupportRequest(
        id=uuid4(),
        account_id=account,
        operator_id=operator.operator,
        operator_name=wiring.columns.seal(account, None, NAME_FIELD, operator.name),
        object_kind=kind,
        object_id=object_id,
        reason=wiring.columns.seal(account, None, REASON_FIELD, reason),
        asked_at=now,
    )
    db.add(row)
    await db.flush()
    await _record(db, row, operator.actor, Action.SUPPORT_ASKED, {"object": f"{kind}:{object_id}"})
    await tell_of_request(db, wiring, row, operator_name=operator.name)
    return row.id


async def grant(db: Db, wiring: Wiring, *, request: UUID, minutes: int, by: str) -> None:
    """Open the one object for so long, from now; the account is set. by: "member:<id>" of an owner, or
    "operator:<id>". Raises NotThere, NotNow, ValueError."""
    row, now = await _to_answer(db, request, by)
    row.answered_at, row.answered_by, row.ends_at = now, by, grant_end(now, minutes)
    await _record(db, row, by, Action.SUPPORT_GRANTED, {"minutes": minutes})
    await tell_of_answer(db, wiring, row, operator_name=operator_name(wiring.columns, row))


async def refuse(db: Db, wiring: Wiring, *, request: UUID, by: str) -> None:
    """The account is set. Raises NotThere, NotNow."""
    row, now = await _to_answer(db, request, by)
    row.answered_at, row.answered_by = now, by
    await _record(db, row, by, Action.SUPPORT_REFUSED)
    await tell_of_answer(db, wiring, row, operator_name=operator_name(wiring.columns, row))


async def revoke(db: Db, *, request: UUID, by: str) -> None:
    """Ends a grant at once; the account is set. Raises NotThere, NotNow."""
    row = await db.get(SupportRequest, request, with_for_update=True)
    if row is None or (by.startswith("operator:") and by != f"operator:{row.operator_id}"):
        raise NotThere
    now = await now_in(db)
    decision = may_revoke(facts_of(row), now)
    if not decision:
        raise NotNow(decision.reason)
    row.revoked_at, row.revoked_by = now, by
    await _record(db, row, by, Action.SUPPORT_REVOKED)


async def let_second_operator(db: Db, *, account: AccountId, allowed: bool, by: str) -> None:
    """Whether a second operator may grant what a first one asks for. Safe to run twice."""
    if await second_operator(db) == allowed:
        return
    values = {"second_operator": allowed, "set_at": await now_in(db), "set_by": by}
    await db.execute(
        insert(SupportRule)
        .values(account_id=account, **values)
        .on_conflict_do_update(index_elements=[SupportRule.account_id], set_=values)
    )
    facts = {"second_operator": allowed}
    await record(
        db, account=account, actor=by, action=Action.SUPPORT_RULE_CHANGED, subject=f"account:{account}", facts=facts
    )


async def second_operator(db: Db) -> bool:
    """Of the account that is set."""
    return bool(await db.scalar(select(SupportRule.second_operator)))


async def enter_to_answer(db: Db, *, operator: SignedInOperator, request: UUID) -> AccountId:
    """The account of a request that this operator may answer, set from here on. Raises NotThere."""
    found = await db.execute(
        text("SELECT account_id FROM support_requests_to_answer(:operator, 1000) WHERE request_id = :request"),
        {"operator": operator.operator, "request": request},
    )
    account = found.scalar()
    if account is None:
        raise NotThere
    await set_account(db, account)
    return AccountId(account)


def facts_of(row: SupportRequest) -> RequestFacts:
    """For the rules."""
    return RequestFacts(
        asked_by=f"operator:{row.operator_id}",
        asked_at=row.asked_at,
        answered_at=row.answered_at,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
    )


def operator_name(columns: SealedColumns, row: SupportRequest) -> str:
    """Who asked, as they were called then."""
    return columns.open(AccountId(row.account_id), None, NAME_FIELD, row.operator_name)


async def _to_answer(db: Db, request: UUID, by: str) -> tuple[SupportRequest, datetime]:
    row = await db.get(SupportRequest, request, with_for_update=True)
    if row is None:
        raise NotThere
    now = await now_in(db)
    decision = may_answer(facts_of(row), now, by=by, second_operator=await second_operator(db))
    if not decision:
        raise NotNow(decision.reason)
    return row, now


async def _record(
    db: Db, row: SupportRequest, by: str, action: Action, facts: dict[str, str | int] | None = None
) -> None:
    subject = f"support:{row.id}"
    await record(db, account=row.account_id, actor=by, action=action, subject=subject, facts=facts)
