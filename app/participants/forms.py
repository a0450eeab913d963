"""Validated input of participants."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from app.errors import BadInput
from app.forms import Form
from app.language import _
from app.studies.models import ConsentKind

REGISTRATION_FIELDS = frozenset({"name", "email"})
NAME_LENGTH = 100


class UnknownField(BadInput):
    """This form has fields we did not ask for; we take your name and e-mail address and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    name: str
    email: str


def read_registration(form: Form) -> Registration | None:
    """Exactly name and e-mail; None when one does not fit (the form says which). Raises UnknownField."""
    _refuse_others(form, REGISTRATION_FIELDS)
    read = Registration(name=form.line("name", length=NAME_LENGTH), email=form.email("email"))
    return read if form.fine else None


@dataclass(frozen=True, kw_only=True)
class ConsentChange:
    kind: ConsentKind
    given: bool


def read_change(form: Form, recorded: Collection[ConsentKind]) -> ConsentChange:
    """One switch, moved in the room or on My data: `kind` and `given` (yes or no). Raises BadInput."""
    _refuse_others(form, {"kind", "given"})
    if form.values.get("given") not in ("yes", "no") or form.values.get("kind") not in list(recorded):
        raise BadInput("This session does not record that.")
    return ConsentChange(kind=ConsentKind(form.values["kind"]), given=form.values["given"] == "yes")


def read_switches(form: Form, recorded: Collection[ConsentKind]) -> frozenset[ConsentKind]:
    """All switches of the consent page: a ticked one is sent as consent=<kind>. Raises BadInput."""
    _refuse_others(form, {"consent"})
    ticked = form.choices("consent", [str(kind) for kind in recorded])
    if not form.fine:
        raise BadInput("This session does not record that.")
    return frozenset(ConsentKind(kind) for kind in ticked)


def read_code(form: Form) -> str | None:
    """Six digits, however they were spaced."""
    _refuse_others(form, {"code"})
    code = re.sub(r"[\s-]", "", form.values.get("code", ""))
    if not re.fullmatch(r"[0-9]{6}", code):
        form.errors["code"] = _("The code has six digits.")
        return None
    return code


def _refuse_others(form: Form, known: Collection[str]) -> None:
    if set(form.values) - set(known):
        raise UnknownField
