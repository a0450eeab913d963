"""What the forms of support access ask for."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.forms import Form
from app.language import _
from app.support.models import ObjectKind
from app.support.policy import MINUTES
from recordings.model import AccountId

REASON_LENGTH = 1_000
REASON_AT_LEAST = 10  # characters; "debug" is no reason


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Validated input of a request."""

    account: AccountId
    kind: ObjectKind
    object_id: UUID
    reason: str


def read_request(form: Form) -> Asked | None:
    """None when something does not fit; the form then says what."""
    account, object_id = _id(form, "account"), _id(form, "object")
    kind = form.choice("kind", ObjectKind)
    reason = form.text("reason", length=REASON_LENGTH)
    if "reason" not in form.errors and len(reason) < REASON_AT_LEAST:
        form.errors["reason"] = _("The owner decides by these words. Please say what is wrong and what you look for.")
    if not form.fine or account is None or object_id is None:
        return None
    return Asked(account=AccountId(account), kind=ObjectKind(kind), object_id=object_id, reason=reason)


def read_minutes(form: Form) -> int | None:
    """One of MINUTES; None otherwise, and the form then says so."""
    minutes = form.choice("minutes", [str(one) for one in MINUTES])
    return int(minutes) if form.fine else None


def _id(form: Form, name: str) -> UUID | None:
    text = form.line(name)
    try:
        return UUID(text)
    except ValueError:
        form.errors.setdefault(name, _("This is no id. It looks like 1f0c3a5e-7d21-4c0a-9b1e-2f6d8c4a7e90."))
        return None
