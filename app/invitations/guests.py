"""The people of a session as its page lists them: one query and one look at the key store for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Columns, Db
from app.invitations.models import Invitation
from app.language import N_
from app.mail.models import MailState
from app.mail.service import state_of_newest
from app.participants.models import Participant
from app.participants.service import EMAIL_FIELD, NAME_FIELD
from app.sealed_columns import SealedColumns
from recordings.model import AccountId, PersonId


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A line of the list of people."""

    invitation: UUID
    person: UUID
    name: str
    email: str
    state: str
    since: datetime
    revocable: bool


async def guests_of(db: Db, columns: SealedColumns, account: AccountId, session: UUID) -> list[Guest]:
    """Who was invited to a session of this account and what became of it, in the order of inviting."""
    found = await db.execute(
        select(*_OF_GUEST, state_of_newest(Participant.id).label("mail"))
        .join(Participant, Participant.id == Invitation.participant_id)
        .where(Invitation.session_id == session)
        .order_by(Invitation.created_at, Invitation.id)
    )
    rows = found.all()
    sealed = {PersonId(row.person): {NAME_FIELD: row.name, EMAIL_FIELD: row.email} for row in rows}
    opened = columns.open_rows(account, sealed) if rows else {}
    return [_guest(row, opened[PersonId(row.person)]) for row in rows]


_OF_GUEST = (
    Invitation.id.label("invitation"),
    Invitation.created_at,
    Invitation.accepted_at,
    Invitation.admitted_at,
    Invitation.revoked_at,
    Participant.id.label("person"),
    Participant.name,
    Participant.email,
    Participant.erased_at,
)
"""Columns, not rows of the mapping: a session of many lists all of them."""


NOT_SENT: Mapping[str, str] = {
    MailState.FAILED: N_("the mail could not be delivered; withdraw and invite again"),
    MailState.NOT_SENT: N_("the mail waited when a backup was restored and was not sent; withdraw and invite again"),
}
WITHOUT_ADDRESS = N_("the address was corrected and is lost with a restored backup; ask for it and invite again")


def _guest(row: Columns, opened: Mapping[str, str]) -> Guest:
    state, since = NOT_SENT.get(row.mail, "invited"), row.created_at
    if row.accepted_at is not None:
        state, since = "registered", row.accepted_at
    if row.admitted_at is not None:
        state, since = "let in", row.admitted_at
    if row.email is None:
        state = WITHOUT_ADDRESS
    if row.revoked_at is not None:
        state, since = "invitation withdrawn", row.revoked_at
    if row.erased_at is not None:
        state, since = "erased", row.erased_at
    return Guest(
        invitation=row.invitation,
        person=row.person,
        name=opened[NAME_FIELD],
        email=opened[EMAIL_FIELD],
        state=state,
        since=since,
        revocable=row.revoked_at is None and row.erased_at is None,
    )
