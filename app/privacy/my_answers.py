"""What a participant answered, as My data shows it: question and answer, until when, and what can still be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.database import Db, now_in
from app.privacy.answering import may_answer_now
from app.sealed_columns import SealedColumns
from app.sessions.answering import answers_due
from app.sessions.models import Session
from app.sessions.responses import (
    AnswerLine,
    answers_kept_days,
    answers_of,
    facts_of,
    questions_for,
    response_of,
)
from app.studies.models import Study
from recordings.model import PersonId


@dataclass(frozen=True, kw_only=True)
class HeldAnswers:
    """open: how many questions can be answered or answered anew; given: answers are stored; until: the date they go;
    asked: their erasure was asked for; held: by a hold; restricted: kept and shown to nobody."""

    lines: tuple[AnswerLine, ...] = ()
    open: int = 0
    given: bool = False
    until: datetime | None = None
    asked: bool = False
    held: bool = False
    restricted: bool = False
    erased_at: datetime | None = None


async def held_answers(
    db: Db, columns: SealedColumns, *, session: Session, study: Study, participant: PersonId
) -> HeldAnswers:
    """Of one participant and one session. Never past their date: then they are being erased."""
    response = await response_of(db, session=session.id, participant=participant)
    may = await may_answer_now(db, session=session, study=study, participant=participant, response=response)
    if response is None:
        return HeldAnswers(open=len(await questions_for(db, study.id, [])) if may else 0)
    lines = (await answers_of(db, columns, [response])).get(response.id, [])
    facts = (await facts_of(db, [response], await now_in(db)))[response.id]
    return HeldAnswers(
        lines=tuple(lines),
        open=len(await questions_for(db, study.id, lines)) if may else 0,
        given=response.hidden_at is None,
        until=answers_due(facts, answers_kept_days(study, session, response.periods)),
        asked=response.hidden_at is not None,
        held=facts.held,
        restricted=facts.restricted,
        erased_at=response.erased_at,
    )
