"""Validated answers of a participant: one field `q-<question>` each, of the questions that are being asked."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.errors import BadInput
from app.forms import Form
from app.language import _
from app.sessions.answering import Value, chosen
from app.sessions.responses import AnswerLine, QuestionsChanged
from app.studies.models import Question, QuestionKind

PREFIX = "q-"
ANSWER_LENGTH = 5000


def field_of(question: Question) -> str:
    return f"{PREFIX}{question.id}"


def read_answers(form: Form, asked: Sequence[Question]) -> dict[UUID, Value] | None:
    """What was answered; a question left empty is left out. None when something does not fit, and the form says
    what. Raises QuestionsChanged for a question that is not asked here (any more), BadInput for other fields."""
    fields = {field_of(question): question for question in asked}
    others = set(form.values) - set(fields)
    if any(not name.startswith(PREFIX) for name in others):
        raise BadInput("This form has fields that are no answers to our questions.")
    if others:
        raise QuestionsChanged
    read: dict[UUID, Value] = {}
    for name, question in fields.items():
        value = _value(form, name, question)
        if value is not None and value not in ("", ()):
            read[question.id] = value
        elif question.required and name not in form.errors:
            form.errors[name] = _("Please answer this one.")
    return read if form.fine else None


def shown_answers(lines: Sequence[AnswerLine]) -> Form:
    """The form with what was answered before."""
    values, lists = {}, {}
    for line in lines:
        name, question = field_of(line.question), line.question
        if question.kind == QuestionKind.CHOICE:
            lists[name] = [str(place) for place in chosen(question.options, line.value)]
            values[name] = lists[name][-1] if lists[name] else ""
        else:
            values[name] = str(line.value)
    return Form(values=values, lists=lists)


def _value(form: Form, name: str, question: Question) -> Value | None:
    if question.kind == QuestionKind.CHOICE:
        return _choice(form, name, question)
    if question.kind == QuestionKind.SCALE:
        return _number(form, name, question)
    return form.text(name, required=False, length=ANSWER_LENGTH)


def _choice(form: Form, name: str, question: Question) -> Value | None:
    """Options are sent by their places."""
    sent = [one for one in form.lists.get(name, ()) if one]
    places = [str(place) for place in range(len(question.options))]
    if any(one not in places for one in sent) or (len(set(sent)) > 1 and not question.several):
        form.errors[name] = _("Please choose from the list.")
        return None
    return tuple(option for place, option in zip(places, question.options, strict=True) if place in sent)


def _number(form: Form, name: str, question: Question) -> Value | None:
    sent = form.values.get(name, "").strip()
    if not sent:
        return None
    assert question.lowest is not None and question.highest is not None
    numbers = [str(number) for number in range(question.lowest, question.highest + 1)]
    if sent not in numbers:
        form.errors[name] = _(
            "Please choose a number from %(lowest)s to %(highest)s.", lowest=question.lowest, highest=question.highest
        )
        return None
    return int(sent)
