"""Tallies: what is left of answers under "anonymise", how often each choice of a question was taken.

A face, a voice and words of one's own lead to a person without a name beside them; a count does not, once it is of
several. So nothing is shown of a question below FEWEST answers, no count below FEWEST, and no total from which the
count left out could be worked out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.database import Db
from app.spreadsheets import as_csv
from app.studies.models import Question, QuestionKind, Tally
from recordings.model import AccountId

FEWEST = 5


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One question. lines: each choice and how often it was taken, None: fewer than FEWEST; none at all while there are
    fewer than FEWEST answers."""

    question: Question
    lines: tuple[tuple[str, int | None], ...]


def choices_of(question: Question) -> tuple[str, ...]:
    """Everything that can be counted; nothing of a question in free text."""
    match question.kind:
        case QuestionKind.CHOICE:
            return tuple(question.options)
        case QuestionKind.SCALE if question.lowest is not None and question.highest is not None:
            return tuple(str(step) for step in range(question.lowest, question.highest + 1))
    return ()


def shown(question: Question, answers: int, counts: Mapping[str, int]) -> Shown:
    if answers < FEWEST:
        return Shown(question=question, lines=())
    found = ((choice, counts.get(choice, 0)) for choice in choices_of(question))
    return Shown(question=question, lines=tuple((choice, n if n >= FEWEST else None) for choice, n in found))


async def add_answer(db: Db, *, account: AccountId, question: Question, chosen: Sequence[str]) -> None:
    """One answer more. What cannot be counted leaves nothing."""
    countable = [choice for choice in choices_of(question) if choice in chosen]
    if not countable:
        return
    new = insert(Tally).values(id=uuid4(), account_id=account, question_id=question.id, answers=0, counts={})
    await db.execute(new.on_conflict_do_nothing(index_elements=[Tally.question_id]))
    row = (await db.scalars(select(Tally).where(Tally.question_id == question.id).with_for_update())).one()
    row.answers += 1
    row.counts = {**row.counts, **{choice: row.counts.get(choice, 0) + 1 for choice in countable}}
    await db.flush()


async def tallies_of_study(db: Db, study: UUID) -> list[Shown]:
    """In the order of the questions."""
    found = await db.execute(
        select(Question, Tally)
        .join(Tally, Tally.question_id == Question.id)
        .where(Question.study_id == study)
        .order_by(Question.position, Question.created_at)
    )
    return [shown(question, tally.answers, tally.counts) for question, tally in found.tuples()]


def tallies_table(tallies: Sequence[Shown]) -> bytes:
    """What the study's page shows of them, one row a choice, for spreadsheets (app.spreadsheets)."""
    few = f"fewer than {FEWEST}"
    rows = [["Question", "Choice", "How often"]]
    for one in tallies:
        prompt = one.question.prompt
        rows += [[prompt, choice, few if n is None else str(n)] for choice, n in one.lines]
        if not one.lines:
            rows.append([prompt, "", f"{few} answers"])
    return as_csv(rows)


async def forget_tallies(db: Db, study: UUID) -> None:
    """Under "erase" nothing stays."""
    mine = select(Question.id).where(Question.study_id == study)
    await db.execute(delete(Tally).where(Tally.question_id.in_(mine)))
