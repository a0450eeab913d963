"""Questions a study asks after its sessions: add, reword, remove, move. An answered wording is never changed:
another one takes its place, so that what somebody answered still says what they were asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import func, select

from app.audit import Action, record
from app.database import Db, now_in
from app.errors import Conflict, NotThere
from app.studies.models import Question, QuestionKind, Study

MOST_QUESTIONS = 40


class TooManyQuestions(Conflict):
    """A study asks at most 40 questions. Please remove one first."""


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class QuestionInput:
    """What is asked and how it is answered. options, several: of a choice; the rest from lowest on: of a scale."""

    kind: QuestionKind
    prompt: str
    required: bool
    options: tuple[str, ...] = ()
    several: bool = False
    lowest: int | None = None
    highest: int | None = None
    lowest_label: str = ""
    highest_label: str = ""


async def questions_of_study(db: Db, study: UUID) -> list[Question]:
    """What is asked now, in order."""
    found = select(Question).where(Question.study_id == study, Question.archived_at.is_(None))
    return list(await db.scalars(found.order_by(Question.position, Question.created_at)))


async def questions_of_studies(db: Db, studies: Collection[UUID]) -> dict[UUID, list[Question]]:
    """What each of them asks now, in order; those that ask nothing are left out."""
    found = select(Question).where(Question.study_id.in_(studies), Question.archived_at.is_(None))
    asked: dict[UUID, list[Question]] = {}
    for question in await db.scalars(found.order_by(Question.position, Question.created_at)):
        asked.setdefault(question.study_id, []).append(question)
    return asked


async def find_question(db: Db, *, study: UUID, question: UUID) -> Question:
    """A question that is asked now. Raises NotThere, also for one of another study."""
    row = await db.get(Question, question)
    if row is None or row.study_id != study or row.archived_at is not None:
        raise NotThere
    return row


async def has_questions(db: Db, study: UUID) -> bool:
    """Whether it asks something, or holds answers to what it asked once."""
    return await db.scalar(select(Question.id).where(Question.study_id == study).limit(1)) is not None


async def add_question(db: Db, *, study: UUID, asked: QuestionInput, by: str) -> Question:
    """A new one, at the end. Raises NotThere, TooManyQuestions."""
    row = await _locked(db, study)
    before = await questions_of_study(db, study)
    if len(before) >= MOST_QUESTIONS:
        raise TooManyQuestions
    origin = uuid4()
    added = _row(row, asked, id=origin, origin=origin, version=1, position=before[-1].position + 1 if before else 1)
    db.add(added)
    await db.flush()
    await _record(db, row, by, added, "added")
    return added


async def reword_question(db: Db, *, study: UUID, question: UUID, asked: QuestionInput, by: str) -> Question:
    """The next version in the same place; returns the one there was when nothing differs. Whoever has the page
    open with the old wording is told, not taken to have answered the new one. Raises NotThere."""
    row = await _locked(db, study)
    old = await find_question(db, study=study, question=question)
    if asked_by(old) == asked:
        return old
    latest = await db.scalar(select(func.max(Question.version)).where(Question.origin_id == old.origin_id))
    new = _row(row, asked, id=uuid4(), origin=old.origin_id, version=(latest or 0) + 1, position=old.position)
    await _retire(db, old)
    db.add(new)
    await db.flush()
    await _record(db, row, by, new, "reworded")
    return new


async def remove_question(db: Db, *, study: UUID, question: UUID, by: str) -> None:
    """Nobody is asked any more; answers to it stay readable. Raises NotThere."""
    row = await _locked(db, study)
    old = await find_question(db, study=study, question=question)
    await _record(db, row, by, old, "removed")
    await _retire(db, old)
    await db.flush()


async def move_question(db: Db, *, study: UUID, question: UUID, direction: Direction) -> None:
    """One place up or down; at the end of the list it stays where it is. Raises NotThere."""
    await _locked(db, study)
    moved = await find_question(db, study=study, question=question)
    order = await questions_of_study(db, study)
    here = order.index(moved)
    there = here + (-1 if direction is Direction.UP else 1)
    if 0 <= there < len(order):
        order[here], order[there] = order[there], order[here]
    for position, one in enumerate(order, start=1):
        one.position = position
    await db.flush()


def asked_by(row: Question) -> QuestionInput:
    """What this wording asks, for a form or a comparison."""
    return QuestionInput(
        kind=QuestionKind(row.kind),
        prompt=row.prompt,
        required=row.required,
        options=tuple(row.options),
        several=row.several,
        lowest=row.lowest,
        highest=row.highest,
        lowest_label=row.lowest_label,
        highest_label=row.highest_label,
    )


async def _locked(db: Db, study: UUID) -> Study:
    """One change of the list after the other."""
    row = await db.get(Study, study, with_for_update=True)
    if row is None:
        raise NotThere
    return row


async def _retire(db: Db, old: Question) -> None:
    """Locked first: an answer that is being saved right now counts."""
    await db.refresh(old, with_for_update=True)
    if old.answered_at is None:
        await db.delete(old)
    else:
        old.archived_at = await now_in(db)


def _row(study: Study, asked: QuestionInput, *, id: UUID, origin: UUID, version: int, position: int) -> Question:
    return Question(
        id=id,
        account_id=study.account_id,
        study_id=study.id,
        origin_id=origin,
        version=version,
        position=position,
        kind=asked.kind,
        prompt=asked.prompt,
        required=asked.required,
        options=list(asked.options),
        several=asked.several,
        lowest=asked.lowest,
        highest=asked.highest,
        lowest_label=asked.lowest_label,
        highest_label=asked.highest_label,
    )


async def _record(db: Db, study: Study, by: str, question: Question, what: str) -> None:
    await record(
        db,
        account=study.account_id,
        actor=by,
        action=Action.QUESTIONS_CHANGED,
        subject=f"study:{study.id}",
        facts={"question": question.origin_id, "version": question.version, "what": what},
    )
