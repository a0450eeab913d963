"""What a participant answered, as My data shows it: question and answer, until when, and what can still be done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db, now_in
from app.participants.models import Participant
from app.privacy.rights.answering import may_answer_now
from app.privacy.rights.where_invited import Place
from app.sealed_columns import SealedColumns
from app.sessions.answering import ResponseFacts, answers_due
from app.sessions.response_models import Response
from app.sessions.responses import (
    AnswerLine,
    answers_kept_days,
    answers_of,
    facts_of,
    questions_for,
)
from app.studies.clocks import Ending
from app.studies.questions import questions_of_studies


@dataclass(frozen=True, kw_only=True)
class HeldAnswers:
    """open: how many questions can be answered or answered anew; given: answers are stored; until: the date they go;
    counted: then how often each choice was taken stays; asked: their erasure was asked for; held: by a hold;
    restricted: kept and shown to nobody."""

    lines: tuple[AnswerLine, ...] = ()
    open: int = 0
    given: bool = False
    until: datetime | None = None
    counted: bool = False
    asked: bool = False
    held: bool = False
    restricted: bool = False
    erased_at: datetime | None = None


async def held_answers(
    db: Db, columns: SealedColumns, person: Participant, places: Collection[Place]
) -> dict[UUID, HeldAnswers]:
    """Of one participant, by session; where nothing was asked or answered there is none. Never past their date: then
    they are being erased."""
    found = await db.scalars(select(Response).where(Response.participant_id == person.id))
    responses = {response.session_id: response for response in found}
    asked = await questions_of_studies(db, {place.study.id for place in places})
    places = [place for place in places if place.session.id in responses or place.study.id in asked]
    if not places:
        return {}
    may = await may_answer_now(db, person, places, responses)
    lines = await answers_of(db, columns, responses.values()) if responses else {}
    facts = await facts_of(db, responses.values(), await now_in(db))
    held = {}
    for place in places:
        response, session = responses.get(place.session.id), place.session
        answered = lines.get(response.id, []) if response else []
        waiting = len(questions_for(asked.get(place.study.id, ()), answered)) if may[session.id] else 0
        if response is None:
            held[session.id] = HeldAnswers(open=waiting)
        else:
            held[session.id] = _held(response, facts[response.id], place, answered, waiting)
    return held


def _held(
    response: Response, facts: ResponseFacts, place: Place, lines: Sequence[AnswerLine], waiting: int
) -> HeldAnswers:
    return HeldAnswers(
        lines=tuple(lines),
        open=waiting,
        given=response.hidden_at is None,
        until=answers_due(facts, answers_kept_days(place.study, place.session, response.periods)),
        counted=place.study.ending == Ending.ANONYMISE,
        asked=response.hidden_at is not None,
        held=facts.held,
        restricted=facts.restricted,
        erased_at=response.erased_at,
    )
