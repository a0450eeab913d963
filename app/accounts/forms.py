"""Validated input about a member."""

from __future__ import annotations

from dataclasses import dataclass

from app.accounts.models import Role
from app.forms import Form

NAME_LENGTH = 100


@dataclass(frozen=True, kw_only=True)
class MemberInput:
    name: str
    email: str
    role: Role


def read_member(form: Form) -> MemberInput | None:
    """None when something does not fit; the form then says what."""
    name, email, role = form.line("name", length=NAME_LENGTH), form.email("email"), read_role(form)
    return MemberInput(name=name, email=email, role=role) if form.fine and role else None


def read_role(form: Form) -> Role | None:
    """None when it is no role; the form then says so."""
    role = form.choice("role", Role)
    return Role(role) if form.fine else None
