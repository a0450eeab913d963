"""Where a participant was invited to: what stands around an invitation, in one question for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Account
from app.database import Db
from app.invitations.models import Invitation
from app.sessions.models import Session
from app.studies.models import Study
from recordings.model import PersonId


@dataclass(frozen=True, kw_only=True)
class Place:
    """As long as it is kept, whoever asks for one of these rows by its id asks nothing of the database."""

    account: Account
    study: Study
    session: Session
    invitation: Invitation


async def places_of(db: Db, *, participant: PersonId, session: UUID | None = None) -> list[Place]:
    """In the order of inviting, whatever became of the invitation; of one session, or of all."""
    query = (
        select(Account, Study, Session, Invitation)
        .join(Study, Study.account_id == Account.account_id)
        .join(Session, Session.study_id == Study.id)
        .join(Invitation, Invitation.session_id == Session.id)
        .where(Invitation.participant_id == participant)
    )
    if session is not None:
        query = query.where(Invitation.session_id == session)
    found = await db.execute(query.order_by(Invitation.created_at))
    return [
        Place(account=account, study=study, session=of, invitation=invitation)
        for account, study, of, invitation in found.tuples()
    ]
