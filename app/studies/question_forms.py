"""Validated input of a question: kind, prompt, and what its kind needs."""

from __future__ import annotations

from app.forms import Form, is_one_line
from app.studies.models import QuestionKind
from app.studies.questions import QuestionInput

PROMPT_LENGTH = 500
OPTION_LENGTH = 200
LABEL_LENGTH = 60
FEWEST_OPTIONS, MOST_OPTIONS = 2, 12
LOWEST, HIGHEST = (0, 1), (2, 10)
"""A scale goes from 0 or 1 to at most 10."""


def read_question(form: Form, kind: QuestionKind) -> QuestionInput | None:
    """None when something does not fit; the form then says what."""
    prompt = form.line("prompt", length=PROMPT_LENGTH)
    required = form.ticked("required")
    if kind is QuestionKind.CHOICE:
        read = QuestionInput(
            kind=kind,
            prompt=prompt,
            required=required,
            options=_options(form),
            several=form.choice("several", ("one", "several")) == "several",
        )
    elif kind is QuestionKind.SCALE:
        read = QuestionInput(
            kind=kind,
            prompt=prompt,
            required=required,
            lowest=form.number("lowest", at_least=LOWEST[0], at_most=LOWEST[1]),
            highest=form.number("highest", at_least=HIGHEST[0], at_most=HIGHEST[1]),
            lowest_label=form.line("lowest_label", required=False, length=LABEL_LENGTH),
            highest_label=form.line("highest_label", required=False, length=LABEL_LENGTH),
        )
    else:
        read = QuestionInput(kind=kind, prompt=prompt, required=required)
    return read if form.fine else None


def shown_question(asked: QuestionInput | None = None) -> Form:
    """The form as first shown: empty, or with what is asked now."""
    if asked is None:
        return Form(values={"several": "one", "lowest": "1", "highest": "5"})
    return Form(
        values={
            "prompt": asked.prompt,
            "required": "on" if asked.required else "",
            "options": "\n".join(asked.options),
            "several": "several" if asked.several else "one",
            "lowest": _number(asked.lowest),
            "highest": _number(asked.highest),
            "lowest_label": asked.lowest_label,
            "highest_label": asked.highest_label,
        }
    )


def _options(form: Form) -> tuple[str, ...]:
    """One a line, each once; empty lines do not count."""
    text = form.text("options")
    if "options" in form.errors:
        return ()
    options = [line.strip() for line in text.split("\n") if line.strip()]
    if not FEWEST_OPTIONS <= len(options) <= MOST_OPTIONS:
        form.errors["options"] = f"Please give {FEWEST_OPTIONS} to {MOST_OPTIONS} options, one a line."
    elif any(len(option) > OPTION_LENGTH for option in options):
        form.errors["options"] = f"Please use at most {OPTION_LENGTH} characters for an option."
    elif not all(is_one_line(option) for option in options):
        form.errors["options"] = "Tabs, control characters and direction marks do not work here."
    elif len({option.casefold() for option in options}) < len(options):
        form.errors["options"] = "The same option stands here twice."
    return tuple(options)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
