"""Verbs of answers after a session: save, read, list. Each response is sealed under a key of its own beneath the
person's, so that it can be erased alone and closes old database pages and backups with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select

from app.audit import Action, record
from app.database import Db, now_in
from app.errors import Conflict, Gone
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.sealed_columns import ERASED, SealedColumns
from app.sessions.answering import ResponseFacts, Value, answers_due, answers_readable, from_json, to_json
from app.sessions.models import Recording, Session
from app.sessions.policy import is_held
from app.sessions.response_models import Answer, Response
from app.sessions.service import recording_facts
from app.studies.clocks import Kind, Periods, days_of, shortest
from app.studies.models import Question, Study
from app.studies.questions import questions_of_study
from recordings.encryption.keystore import KeyDestroyed, KeyPath
from recordings.model import AccountId, PersonId


class QuestionsChanged(Conflict):
    """The questions have changed since you opened this page. What you entered for
    the others is still here; please look again before you save."""


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """A wording that was asked, and what was answered to it."""

    question: Question
    value: Value


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One participant's answers as members read them. name "" once erased; lines empty when refused, for `reason`."""

    participant: PersonId
    name: str
    answered_at: datetime
    changed_at: datetime | None
    lines: tuple[AnswerLine, ...]
    reason: str = ""


def response_item(response: UUID) -> str:
    return f"response-{response}"


def response_key_path(row: Response) -> KeyPath:
    """The key of everything in one response."""
    return KeyPath(AccountId(row.account_id), PersonId(row.participant_id), response_item(row.id))


def answers_kept_days(study: Study, session: Session, own: Periods) -> int | None:
    """The shortest clock wins; None: until someone asks. own: the person's."""
    days = shortest(study.retention_days, session.retention_days)
    return days_of(Kind.ANSWERS, days, study.periods, session.periods, own)


async def response_of(db: Db, *, session: UUID, participant: PersonId) -> Response | None:
    return await db.scalar(
        select(Response).where(Response.session_id == session, Response.participant_id == participant)
    )


async def facts_of(db: Db, rows: Iterable[Response], now: datetime) -> dict[UUID, ResponseFacts]:
    """What the rules look at, by response: its session's end, and holds on what was recorded of the same
    person in the same session."""
    rows = list(rows)
    if not rows:
        return {}
    sessions = {row.session_id for row in rows}
    idle = func.idle_until(Response.session_id, Response.participant_id, Response.periods, Response.answered_at)
    of_sessions = select(Response.id, Session, idle).join(Session, Session.id == Response.session_id)
    found = await db.execute(of_sessions.where(Response.id.in_([row.id for row in rows])))
    beside = {response: (session, idle_until) for response, session, idle_until in found}
    people = {row.participant_id for row in rows}
    recordings = (
        await db.scalars(
            select(Recording).where(
                Recording.session_id.in_(sessions), Recording.person_id.in_(people), Recording.erased_at.is_(None)
            )
        )
    ).all()
    facts = {}
    for row in rows:
        mine = [one for one in recordings if (one.session_id, one.person_id) == (row.session_id, row.participant_id)]
        session, idle_until = beside[row.id]
        holds = [one.held_until for one in mine if is_held(recording_facts(one, session), now)]
        lasting = [until for until in holds if until is not None]
        facts[row.id] = ResponseFacts(
            answered_at=row.answered_at,
            session_ended_at=session.ended_at,
            hidden_at=row.hidden_at,
            erased_at=row.erased_at,
            held=bool(holds),
            held_until=max(lasting) if holds and len(lasting) == len(holds) else None,
            restricted=row.restricted_at is not None,
            idle_until=idle_until,
        )
    return facts


async def answers_of(db: Db, columns: SealedColumns, rows: Iterable[Response]) -> dict[UUID, list[AnswerLine]]:
    """By response, in the order of the questions, each with the wording that was answered. Nothing of what is
    being erased."""
    shown = {row.id: row for row in rows if row.hidden_at is None and row.erased_at is None}
    found = await db.execute(
        select(Answer, Question)
        .join(Question, Question.id == Answer.question_id)
        .where(Answer.response_id.in_(shown))
        .order_by(Question.position, Question.created_at)
    )
    lines: dict[UUID, list[AnswerLine]] = {}
    for answer, question in found.all():
        value = open_answer(columns, shown[answer.response_id], answer)
        lines.setdefault(answer.response_id, []).append(AnswerLine(question=question, value=value))
    return lines


def questions_for(asked: Iterable[Question], answered: Sequence[AnswerLine]) -> list[Question]:
    """What this person is asked: the wordings they answered, and of the rest what is `asked` now."""
    known = {line.question.origin_id for line in answered}
    new = [question for question in asked if question.origin_id not in known]
    return sorted([*(line.question for line in answered), *new], key=lambda one: (one.position, one.created_at))


async def count_questions(db: Db, *, study: UUID, session: UUID, participant: PersonId) -> int:
    """How many wait for this participant; 0 once they have answered."""
    if await response_of(db, session=session, participant=participant) is not None:
        return 0
    return len(await questions_of_study(db, study))


async def save_answers(
    db: Db, columns: SealedColumns, *, session: Session, participant: PersonId, values: Mapping[UUID, Value]
) -> Response:
    """All answers of one participant to one session as they stand now, in place of those before. The caller has
    locked the participant and asked may_answer. values: question -> answer, of questions that are being asked.
    Raises Gone when they are being erased, QuestionsChanged when a wording is not asked any more."""
    account = AccountId(session.account_id)
    now = await now_in(db)
    asked = await _locked(db, values)
    row = await _row(db, account, session, participant)
    if row.hidden_at is not None or row.erased_at is not None:
        raise Gone
    if row.answered_at != now:
        row.changed_at = now
    item = response_item(row.id)
    try:
        columns.make_item_key(account, participant, item)
    except KeyDestroyed:
        raise Gone from None
    await db.execute(delete(Answer).where(Answer.response_id == row.id))
    for question in asked:
        question.answered_at = question.answered_at or now
        sealed = columns.seal(account, participant, _field(question.id), to_json(values[question.id]), item=item)
        db.add(Answer(account_id=account, response_id=row.id, question_id=question.id, value=sealed))
    await db.flush()
    await record(
        db,
        account=account,
        actor=f"participant:{participant}",
        action=Action.ANSWERS_GIVEN,
        subject=f"session:{session.id}",
        facts={"response": row.id, "answers": len(values)},
    )
    return row


async def answers_of_session(db: Db, columns: SealedColumns, *, session: Session, study: Study) -> list[Answered]:
    """Everybody who answered, in the order of answering; who was erased is left out."""
    rows = (
        await db.execute(
            select(Response, Participant)
            .join(Participant, Participant.id == Response.participant_id)
            .where(Response.session_id == session.id, Response.erased_at.is_(None))
            .order_by(Response.answered_at, Response.id)
        )
    ).all()
    now = await now_in(db)
    facts = await facts_of(db, [row for row, _ in rows], now)
    lines = await answers_of(db, columns, [row for row, _ in rows])
    found = []
    for row, person in rows:
        decision = answers_readable(facts[row.id], answers_kept_days(study, session, row.periods), now)
        account, participant = AccountId(row.account_id), PersonId(row.participant_id)
        found.append(
            Answered(
                participant=participant,
                name=columns.open(account, participant, NAME_FIELD, person.name),
                answered_at=row.answered_at,
                changed_at=row.changed_at,
                lines=tuple(lines.get(row.id, ())) if decision else (),
                reason=decision.reason,
            )
        )
    return found


async def responses_of_session(db: Db, *, session: UUID) -> list[Response]:
    """Those not erased."""
    return list(await db.scalars(select(Response).where(Response.session_id == session, Response.erased_at.is_(None))))


async def due_responses(db: Db, responses: Collection[UUID], now: datetime) -> list[tuple[Response, Study]]:
    """Of these, what is to be erased by its date, locked, each with its study."""
    found = await db.execute(
        select(Response, Session, Study)
        .join(Session, Session.id == Response.session_id)
        .join(Study, Study.id == Session.study_id)
        .where(Response.id.in_(responses))
        .with_for_update(of=Response, skip_locked=True)
    )
    rows = found.all()
    facts = await facts_of(db, [response for response, _, _ in rows], now)
    due = []
    for response, session, study in rows:
        until = answers_due(facts[response.id], answers_kept_days(study, session, response.periods))
        if until is not None and until <= now:
            due.append((response, study))
    return due


async def _locked(db: Db, values: Mapping[UUID, Value]) -> Sequence[Question]:
    """The wordings answered; none is changed until this is committed."""
    found = select(Question).where(Question.id.in_(values)).order_by(Question.id)
    asked = (await db.scalars(found.with_for_update().execution_options(populate_existing=True))).all()
    if len(asked) != len(values):
        raise QuestionsChanged
    return asked


async def _row(db: Db, account: AccountId, session: Session, participant: PersonId) -> Response:
    row = await response_of(db, session=session.id, participant=participant)
    if row is not None:
        await db.refresh(row, with_for_update=True)
        return row
    own = await db.get_one(Participant, participant)
    row = Response(
        id=uuid4(),
        account_id=account,
        session_id=session.id,
        participant_id=participant,
        answered_at=await now_in(db),
        changed_at=None,
        periods=own.periods,
        restricted_at=own.restricted_at,
        hidden_at=None,
        erased_at=None,
    )
    db.add(row)
    await db.flush()
    return row


def open_answer(columns: SealedColumns, row: Response, answer: Answer) -> Value:
    """ "" once it was erased."""
    account, participant = AccountId(row.account_id), PersonId(row.participant_id)
    item = response_item(row.id)
    text = columns.open(account, participant, _field(answer.question_id), answer.value, item=item)
    return "" if text == ERASED else from_json(text)  # an answer of that text would stand in quotes


def _field(question: UUID) -> str:
    return f"answer.value:{question}"
