"""The people of a session as its page lists them: three queries and one look at the key store for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.invitations.models import Invitation
from app.language import N_
from app.mail.models import MailState
from app.mail.service import not_sent
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


async def guests_of(db: Db, columns: SealedColumns, invitations: Sequence[Invitation]) -> list[Guest]:
    """Who was invited and what became of it, in the order of `invitations`."""
    persons = [PersonId(invitation.participant_id) for invitation in invitations]
    rows = {row.id: row for row in await db.scalars(select(Participant).where(Participant.id.in_(persons)))}
    unsent = await not_sent(db, persons=persons)
    if not rows:
        return []
    account = AccountId(invitations[0].account_id)
    sealed = {PersonId(row.id): {NAME_FIELD: row.name, EMAIL_FIELD: row.email} for row in rows.values()}
    opened = columns.open_rows(account, sealed)
    return [
        _guest(one, rows[one.participant_id], opened[PersonId(one.participant_id)], unsent.get(one.participant_id))
        for one in invitations
    ]


NOT_SENT = {
    MailState.FAILED: N_("the mail could not be delivered"),
    MailState.NOT_SENT: N_("the mail waited when a backup was restored and was not sent; withdraw and invite again"),
}
WITHOUT_ADDRESS = N_("the address was corrected and is lost with a restored backup; ask for it and invite again")


def _guest(invitation: Invitation, row: Participant, opened: Mapping[str, str], unsent: MailState | None) -> Guest:
    state, since = "invited", invitation.created_at
    if unsent is not None:
        state = NOT_SENT[unsent]
    if invitation.accepted_at is not None:
        state, since = "registered", invitation.accepted_at
    if invitation.admitted_at is not None:
        state, since = "let in", invitation.admitted_at
    if row.email is None:
        state = WITHOUT_ADDRESS
    if invitation.revoked_at is not None:
        state, since = "invitation withdrawn", invitation.revoked_at
    if row.erased_at is not None:
        state, since = "erased", row.erased_at
    return Guest(
        invitation=invitation.id,
        person=row.id,
        name=opened[NAME_FIELD],
        email=opened[EMAIL_FIELD],
        state=state,
        since=since,
        revocable=invitation.revoked_at is None and row.erased_at is None,
    )
