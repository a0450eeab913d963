"""The inbox of requests as an owner reads it: what waits first, by the day it is due; names in one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import case, func, select

from app.database import Db
from app.privacy.erasing.erasures import participant_names
from app.privacy.records.deadline import days_left
from app.privacy.records.grounds import WORDS, Ground
from app.privacy.records.models import DataRequest, Erasure, ErasureState, RequestKind, RequestState
from app.privacy.rights.extending import may_extend
from app.privacy.rights.items import Outcome, outcomes_of
from app.privacy.rights.proof import unproven
from app.privacy.rights.requests import ANSWER_FIELD, EXTENSION_FIELD, UNANSWERED, WORDS_FIELD, may_answer, may_lift
from app.sealed_columns import SealedColumns
from recordings.model import AccountId, PersonId


@dataclass(frozen=True, kw_only=True)
class RequestLine:
    """One request. waits: somebody has to do something; todo: what the owner has to do, in words; left: whole days
    until the due day; erasure: that carries it out; unproven: the participant has not
    said yet that it is theirs."""

    row: DataRequest
    name: str
    waits: bool
    todo: str
    left: int
    erasure: Erasure | None
    unproven: bool
    may_answer: bool
    may_extend: bool
    may_lift: bool


@dataclass(frozen=True, kw_only=True)
class RequestText:
    """What was written, opened for one page. ground: why it was refused or lifted, outcomes: of each thing where not
    all was answered alike; both marked for translation."""

    words: str
    answer: str
    extension: str
    ground: str
    outcomes: Sequence[Outcome] = ()


async def inbox(db: Db, columns: SealedColumns, now: datetime, *, limit: int, offset: int) -> list[RequestLine]:
    """What waits for the owner by due day, what runs by itself, what is in force, then the rest, newest first."""
    open_ = DataRequest.state == RequestState.OPEN
    mine = open_ & DataRequest.erasure_id.is_(None)
    rank = case((mine, 0), (open_ | (DataRequest.state == RequestState.LIFTING), 1), else_=2)
    rows = list(
        await db.scalars(
            select(DataRequest)
            .order_by(
                rank,
                case((rank < 2, DataRequest.due_on)),
                (DataRequest.state != RequestState.IN_FORCE),
                DataRequest.asked_at.desc(),
                DataRequest.id,
            )
            .limit(limit)
            .offset(offset)
        )
    )
    return await lines_of(db, columns, rows, now)


async def lines_of(db: Db, columns: SealedColumns, rows: list[DataRequest], now: datetime) -> list[RequestLine]:
    names = await participant_names(db, columns, {row.participant_id for row in rows})
    asked = [row.erasure_id for row in rows if row.erasure_id]
    found = await db.scalars(select(Erasure).where(Erasure.id.in_(asked))) if asked else ()
    erasures = {erasure.id: erasure for erasure in found}
    return [
        _line(row, names.get(row.participant_id, ""), erasures.get(row.erasure_id) if row.erasure_id else None, now)
        for row in rows
    ]


async def requests_of(
    db: Db, columns: SealedColumns, participant: UUID, now: datetime
) -> list[tuple[RequestLine, RequestText]]:
    """What one participant asked for, newest first; erasures stand among their receipts."""
    found = await db.scalars(
        select(DataRequest)
        .where(DataRequest.participant_id == participant, DataRequest.erasure_id.is_(None))
        .order_by(DataRequest.asked_at.desc(), DataRequest.id)
        .limit(50)
    )
    rows = list(found)
    lines = await lines_of(db, columns, rows, now)
    outcomes = await outcomes_of(db, [row.id for row in rows])
    return [(line, text_of(columns, line.row, outcomes.get(line.row.id, ()))) for line in lines]


async def waiting(db: Db) -> int:
    """How many requests wait for the owner's answer."""
    mine = select(func.count()).where(DataRequest.state == RequestState.OPEN, DataRequest.erasure_id.is_(None))
    return await db.scalar(mine) or 0


def text_of(columns: SealedColumns, row: DataRequest, outcomes: Sequence[Outcome] = ()) -> RequestText:
    account, participant = AccountId(row.account_id), PersonId(row.participant_id)
    return RequestText(
        words=columns.open(account, participant, WORDS_FIELD, row.words),
        answer=columns.open(account, participant, ANSWER_FIELD, row.answer),
        extension=columns.open(account, participant, EXTENSION_FIELD, row.extension),
        ground=WORDS[Ground(row.ground)] if row.ground else "",
        outcomes=outcomes,
    )


def _line(row: DataRequest, name: str, erasure: Erasure | None, now: datetime) -> RequestLine:
    kind, state = RequestKind(row.kind), RequestState(row.state)
    return RequestLine(
        row=row,
        name=name,
        waits=state in UNANSWERED and state is not RequestState.IN_FORCE,
        todo=_todo(kind, state, erasure, unproven(row)),
        left=days_left(row.due_on, now),
        erasure=erasure,
        unproven=unproven(row),
        may_answer=bool(may_answer(kind, state)),
        may_extend=bool(
            may_extend(kind, state, extended_at=row.extended_at, due_on=row.due_on, today=now.astimezone(UTC).date())
        ),
        may_lift=bool(may_lift(state)),
    )


def _todo(kind: RequestKind, state: RequestState, erasure: Erasure | None, waits: bool) -> str:
    if waits:
        return "Wait until they confirm it by the link in their mail; or refuse it, with a reason."
    if erasure is not None:
        return {
            ErasureState.COMPLETE: "Nothing: erased and certified.",
            ErasureState.HELD: "A hold stops a part of it. Lift the hold as soon as you can.",
            ErasureState.PARTIAL: "Nothing: not everything could be verified yet, it is tried again by itself.",
        }.get(ErasureState(erasure.state), "Nothing: it is being erased by itself.")
    if state is RequestState.LIFTING:
        return "Nothing: it ends as soon as the participant has been told."
    if state is RequestState.IN_FORCE:
        return "Keep it. Nobody sees what was recorded up to then until you lift the restriction."
    if state is not RequestState.OPEN:
        return "Nothing: answered."
    return {
        RequestKind.ACCESS: "Send a copy of what you hold about them, and say so here.",
        RequestKind.OBJECTION: "Decide whether it may still be used. Until then nobody can see it.",
        RequestKind.RECTIFICATION: "Correct what they name, and say so here.",
    }.get(kind, "Answer it here.")
