"""Mails of this folder: to the platform's contact, and to a participant about a request; to owners, see owners.py."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Account
from app.database import Db
from app.invitations.models import Invitation
from app.language import Language
from app.mail.service import queue
from app.participants.models import Participant
from app.participants.service import EMAIL_FIELD, NAME_FIELD, foot, mail_language
from app.privacy.records.owners import tell_owners
from app.sessions.service import find_session
from app.studies.models import Study
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

__all__ = ["study_of", "tell_operator", "tell_owners", "tell_participant"]


OPERATOR = PersonId(UUID(int=1))
"""The platform's contact as a receiver of mail: in each account with a key of its own, which no erasure names."""


async def tell_operator(
    db: Db, wiring: Wiring, *, account: AccountId, template: str, key: str, context: Mapping[str, object]
) -> UUID | None:
    """One mail to the platform's contact, of ids only: they may not look into an account."""
    wiring.columns.make_person_key(account, OPERATOR)
    return await queue(
        db,
        wiring.columns,
        settings=wiring.settings,
        account=account,
        person=OPERATOR,
        template=template,
        key=f"{key}-operator",
        optional=False,
        context={"address": wiring.settings.public_url.rstrip("/"), **context},
        to_name="",
        to_email=wiring.settings.contact,
    )


async def tell_participant(
    db: Db,
    wiring: Wiring,
    *,
    participant: PersonId,
    template: str,
    key: str,
    context: Mapping[str, object],
    to: str | None = None,
) -> UUID | None:
    """A mail to the registered address, or to `to`, which unsubscribing does not stop; None when the person is erased
    or it was written before."""
    row = await db.get(Participant, participant)
    if row is None or row.email is None:
        return None
    account = AccountId(row.account_id)
    study = await study_of(db, participant)
    foot_ = await foot(db, wiring, account=account, study=study) if study else None
    return await queue(
        db,
        wiring.columns,
        settings=wiring.settings,
        account=account,
        person=participant,
        template=template,
        key=key,
        optional=False,
        language=mail_language(row, study) if study else Language.EN,
        context={
            "account_name": (await db.get_one(Account, account)).name,
            "contact_name": foot_.contact.name if foot_ else "",
            "contact_email": foot_.contact.email if foot_ else "",
            "notice_date": foot_.notice_date if foot_ else None,
            **context,
        },
        to_name=wiring.columns.open(account, participant, NAME_FIELD, row.name),
        to_email=to or wiring.columns.open(account, participant, EMAIL_FIELD, row.email),
    )


async def study_of(db: Db, participant: UUID) -> Study | None:
    """The study they were last invited to: whose contact they can ask, and whose language they are written in."""
    invited = select(Invitation.session_id).where(Invitation.participant_id == participant)
    session = await db.scalar(invited.order_by(Invitation.created_at.desc()).limit(1))
    return None if session is None else await find_study(db, (await find_session(db, session)).study_id)
