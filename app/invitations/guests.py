"""The people of a session as its page lists them: three queries and one look at the key store for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.invitations.models import Invitation
from app.mail.service import could_not_be_sent
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
    refused = await could_not_be_sent(db, persons=persons)
    if not rows:
        return []
    account = AccountId(invitations[0].account_id)
    sealed = {PersonId(row.id): {NAME_FIELD: row.name, EMAIL_FIELD: row.email} for row in rows.values()}
    opened = columns.open_rows(account, sealed)
    return [
        _guest(one, rows[one.participant_id], opened[PersonId(one.participant_id)], one.participant_id in refused)
        for one in invitations
    ]


def _guest(invitation: Invitation, row: Participant, opened: Mapping[str, str], refused: bool) -> Guest:
    state, since = "invited", invitation.created_at
    if refused:
        state = "the mail could not be delivered"
    if invitation.accepted_at is not None:
        state, since = "registered", invitation.accepted_at
    if invitation.admitted_at is not None:
        state, since = "let in", invitation.admitted_at
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
