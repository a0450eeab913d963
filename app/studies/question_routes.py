"""Pages of a study's questions: add one of a kind, reword, remove, move. Plain forms, no script."""

from __future__ import annotations

from uuid import UUID

from litestar import get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.database import Db
from app.errors import BadInput
from app.forms import Form, read_form
from app.pages import AnyRequest, page
from app.studies.models import QuestionKind, Study
from app.studies.question_forms import read_question, shown_question
from app.studies.questions import (
    Direction,
    add_question,
    asked_by,
    find_question,
    has_questions,
    move_question,
    remove_question,
    reword_question,
)
from app.studies.service import find_study

MAY_ASK = (Role.OWNER, Role.RESEARCHER)


@get("/studies/{study:uuid}/questions/new")
async def show_new_question(request: AnyRequest, db: Db, login: Login, study: UUID) -> Template:
    """?kind=text, choice or scale; each kind has its own fields."""
    require_member(login, *MAY_ASK)
    row = await find_study(db, study)
    kind = _kind(request.query_params.get("kind", QuestionKind.TEXT))
    return await _form_page(request, db, row, kind, shown_question())


@post("/studies/{study:uuid}/questions")
async def create_question(request: AnyRequest, db: Db, login: Login, study: UUID) -> Template | Redirect:
    member = require_member(login, *MAY_ASK)
    row = await find_study(db, study)
    form = await read_form(request)
    kind = _kind(form.values.get("kind", ""))
    asked = read_question(form, kind)
    if asked is None:
        return await _form_page(request, db, row, kind, form, status=422)
    await add_question(db, study=study, asked=asked, by=member.actor)
    return _back(study)


@get("/studies/{study:uuid}/questions/{question:uuid}/edit")
async def show_question(request: AnyRequest, db: Db, login: Login, study: UUID, question: UUID) -> Template:
    require_member(login, *MAY_ASK)
    row = await find_study(db, study)
    found = await find_question(db, study=study, question=question)
    form = shown_question(asked_by(found))
    answered = found.answered_at is not None
    return await _form_page(request, db, row, QuestionKind(found.kind), form, question=question, answered=answered)


@post("/studies/{study:uuid}/questions/{question:uuid}/edit")
async def update_question(
    request: AnyRequest, db: Db, login: Login, study: UUID, question: UUID
) -> Template | Redirect:
    """The kind stays: another kind is another question."""
    member = require_member(login, *MAY_ASK)
    row = await find_study(db, study)
    found = await find_question(db, study=study, question=question)
    kind, answered = QuestionKind(found.kind), found.answered_at is not None
    form = await read_form(request)
    asked = read_question(form, kind)
    if asked is None:
        return await _form_page(request, db, row, kind, form, question=question, answered=answered, status=422)
    await reword_question(db, study=study, question=question, asked=asked, by=member.actor)
    return _back(study)


@post("/studies/{study:uuid}/questions/{question:uuid}/remove")
async def destroy_question(db: Db, login: Login, study: UUID, question: UUID) -> Redirect:
    member = require_member(login, *MAY_ASK)
    await remove_question(db, study=study, question=question, by=member.actor)
    return _back(study)


@post("/studies/{study:uuid}/questions/{question:uuid}/move")
async def shift_question(request: AnyRequest, db: Db, login: Login, study: UUID, question: UUID) -> Redirect:
    """Form field `direction`: up or down."""
    require_member(login, *MAY_ASK)
    direction = (await read_form(request)).values.get("direction", "")
    if direction not in list(Direction):
        raise BadInput("A question moves up or down.")
    await move_question(db, study=study, question=question, direction=Direction(direction))
    return _back(study)


def _kind(text: str) -> QuestionKind:
    if text not in list(QuestionKind):
        raise BadInput("A question is answered by text, by choice or on a scale.")
    return QuestionKind(text)


def _back(study: UUID) -> Redirect:
    return Redirect(f"/studies/{study}#questions", status_code=303)


async def _form_page(
    request: AnyRequest,
    db: Db,
    study: Study,
    kind: QuestionKind,
    form: Form,
    *,
    question: UUID | None = None,
    answered: bool = False,
    status: int = 200,
) -> Template:
    return page(
        "studies/question.html",
        request,
        status=status,
        study=study,
        kind=str(kind),
        form=form,
        question=question,
        answered=answered,
        first=question is None and not await has_questions(db, study.id),
    )


handlers = [show_new_question, create_question, show_question, update_question, destroy_question, shift_question]
