"""Validated input of an invitation."""

from __future__ import annotations

from dataclasses import dataclass

from app.forms import Form

NAME_LENGTH = 100
WORDS_LENGTH = 2000


@dataclass(frozen=True, kw_only=True)
class InvitationInput:
    name: str
    email: str
    words: str


def read_invitation(form: Form) -> InvitationInput | None:
    """None when something does not fit; the form then says what."""
    read = InvitationInput(
        name=form.line("name", length=NAME_LENGTH),
        email=form.email("email"),
        words=form.text("words", required=False, length=WORDS_LENGTH),
    )
    return read if form.fine else None
