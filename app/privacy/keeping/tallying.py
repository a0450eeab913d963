"""Under "anonymise": before answers past their date are made unreadable, their choices are counted.

In the transaction that hides them, while their key is still there: so each is counted once, however often the erasure
behind it is tried, and never what somebody asked to be erased, which is hidden before. Nobody who objected is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from app.database import Db
from app.privacy.records.models import DataRequest, RequestKind, RequestState
from app.sealed_columns import SealedColumns
from app.sessions.answering import Value
from app.sessions.response_models import Response
from app.sessions.responses import answers_of
from app.studies.clocks import Ending
from app.studies.models import Study
from app.studies.tallies import add_answer
from recordings.model import AccountId


async def count_answers(db: Db, columns: SealedColumns, due: Sequence[tuple[Response, Study]]) -> None:
    """due: locked, and past their date."""
    counted = [
        row
        for row, study in due
        if study.ending == Ending.ANONYMISE and row.hidden_at is None and row.erased_at is None
    ]
    if not counted:
        return
    objected = set(
        await db.scalars(
            select(DataRequest.participant_id).where(
                DataRequest.participant_id.in_([row.participant_id for row in counted]),
                DataRequest.kind == RequestKind.OBJECTION,
                DataRequest.state != RequestState.REFUSED,
            )
        )
    )
    counted = [row for row in counted if row.participant_id not in objected]
    found = await answers_of(db, columns, counted)
    lines = [(line, AccountId(row.account_id)) for row in counted for line in found.get(row.id, ())]
    for line, account in sorted(lines, key=lambda one: str(one[0].question.id)):  # all lock in one order
        await add_answer(db, account=account, question=line.question, chosen=_chosen(line.value))


def _chosen(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)
