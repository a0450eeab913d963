"""Mails about the moment of a session to those who accepted it: confirmed, soon, moved, cancelled. Each once, each with
the calendar file, none with a word of what the session is about.

A mail's key names its kind, the invitation and how often the session was moved. Right before it is sent it is asked
whether it would still be written (still_wanted): what was cancelled, moved, erased or taken back meanwhile stops it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, select

from app.accounts.models import Account
from app.database import Db, now_in
from app.invitations.calendar_file import CalendarEvent, calendar_file
from app.invitations.models import Invitation
from app.invitations.service import PURPOSE, UNSUBSCRIBE_PURPOSE, mail_key
from app.invitations.session_mail_policy import MailFacts, SessionMail, may_tell
from app.language import Language, gettext, say_moment, speaking
from app.mail.models import OutgoingMail
from app.mail.service import ended_by, open_mail, queue
from app.participants.consents import consent_log, standing_in
from app.participants.models import Participant
from app.participants.service import EMAIL_FIELD, NAME_FIELD, foot, mail_language
from app.sessions.models import Session, SessionState
from app.studies.models import Reminder, Study
from app.studies.service import Contact
from app.tokens import token_hash
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, SessionId

TEMPLATE = "session"
CANCELLATIONS = and_(
    OutgoingMail.template == TEMPLATE, OutgoingMail.key.startswith(f"session-{SessionMail.CANCELLED}-")
)
"""Which mails say that a session does not take place."""


@dataclass(frozen=True, kw_only=True)
class _Links:
    """Of the invitation's own mail: to the session, and to what its reader does not want any more."""

    session: str
    stop: str


async def tell_participants(db: Db, wiring: Wiring, *, session: UUID, mail: SessionMail) -> int:
    """Write this mail to everybody who accepted the session and may be told; how many were written. It waits for those
    who accept at this moment. Safe to run twice."""
    invited = select(Invitation).where(Invitation.session_id == session).order_by(Invitation.created_at, Invitation.id)
    locked = invited.with_for_update().execution_options(populate_existing=True)
    told = 0
    for invitation in (await db.scalars(locked)).all():
        if invitation.accepted_at is not None:
            told += await tell(db, wiring, invitation=invitation, mail=mail)
    return told


async def tell(db: Db, wiring: Wiring, *, invitation: Invitation, mail: SessionMail) -> bool:
    """Write one mail; False when it is not to be written, or was before."""
    session = await db.get_one(Session, invitation.session_id)
    study = await db.get_one(Study, session.study_id)
    participant = await db.get_one(Participant, invitation.participant_id)
    now = await now_in(db)
    facts = await _facts(db, invitation, session, study, participant)
    if not may_tell(mail, facts, now) or session.starts_at is None or participant.email is None:
        return False
    links = await _links(db, wiring, invitation)
    if links is None:
        return False
    account, person = AccountId(invitation.account_id), PersonId(participant.id)
    language = mail_language(participant, study)
    about = await foot(db, wiring, account=account, study=study)
    with speaking(language):
        when = say_moment(session.starts_at, session.time_zone, weekday=True)
    made = await queue(
        db,
        wiring.columns,
        settings=wiring.settings,
        account=account,
        person=person,
        template=TEMPLATE,
        key=_key(mail, invitation, session),
        optional=False,  # unsubscribing from invitations does not stop it; its own link does
        language=language,
        context={
            "mail": mail,
            "when": when,
            "contact_name": about.contact.name,
            "contact_email": about.contact.email,
            "notice_date": about.notice_date,
            "link": links.session,
            "stop_link": links.stop,
        },
        to_name=wiring.columns.open(account, person, NAME_FIELD, participant.name),
        to_email=wiring.columns.open(account, person, EMAIL_FIELD, participant.email),
        headers=ended_by(links.stop, reply_to=about.contact.email),
        calendar=calendar_of(session, invitation, about.contact, language, now),
    )
    return made is not None


def calendar_of(session: Session, invitation: Invitation, contact: Contact, language: Language, now: datetime) -> str:
    """The calendar file of a session that has a moment. One participant's; no two share a uid."""
    assert session.starts_at is not None
    cancelled = session.state == SessionState.ENDED
    with speaking(language):
        event = CalendarEvent(
            uid=str(invitation.id),
            sequence=session.moves + cancelled,
            written_at=now,
            starts_at=session.starts_at,
            cancelled=cancelled,
            summary=gettext("Session with %(name)s", name=contact.name),
            description=gettext("In your browser, by the link in your invitation mail."),
            contact_name=contact.name,
            contact_email=contact.email,
        )
    return calendar_file(event)


async def still_wanted(db: Db, mail: OutgoingMail) -> bool:
    """Would a mail that waits be written the same now? Always so of mails that are not about a session's moment."""
    if mail.template != TEMPLATE:
        return True
    now = await now_in(db)
    mine = (
        select(Invitation, Session, Study, Participant)
        .join(Session, Session.id == Invitation.session_id)
        .join(Study, Study.id == Session.study_id)
        .join(Participant, Participant.id == Invitation.participant_id)
        .where(Invitation.participant_id == mail.person_id)
    )
    for invitation, session, study, participant in (await db.execute(mine)).tuples():
        for kind in SessionMail:
            if _key(kind, invitation, session) == mail.key:
                return may_tell(kind, await _facts(db, invitation, session, study, participant), now)
    return False


def _key(mail: SessionMail, invitation: Invitation, session: Session) -> str:
    return f"session-{mail}-{invitation.id}-{session.moves}"


async def _facts(db: Db, invitation: Invitation, session: Session, study: Study, participant: Participant) -> MailFacts:
    log = await consent_log(db, session=SessionId(session.id), participant=PersonId(participant.id))
    return MailFacts(
        accepted=invitation.accepted_at is not None,
        revoked=invitation.revoked_at is not None,
        erased=participant.erased_at is not None,
        unwanted=participant.no_session_mails_at is not None,
        took_back=bool(log) and not standing_in(log),
        state=SessionState(session.state),
        opened=session.started_at is not None,
        starts_at=session.starts_at,
        reminding=session.reminding and study.reminder != Reminder.NONE,
        closing=await db.scalar(select(Account.closes_at)) is not None,
    )


async def _links(db: Db, wiring: Wiring, invitation: Invitation) -> _Links | None:
    """We keep hashes of them only, and the mail that brought them, sealed; None when that is gone."""
    sent = await db.scalar(
        select(OutgoingMail).where(
            OutgoingMail.person_id == invitation.participant_id, OutgoingMail.key == mail_key(invitation)
        )
    )
    mail = open_mail(wiring.columns, sent) if sent is not None else None
    if mail is None:
        return None
    link = _token("i", mail.text.split(), PURPOSE, invitation.token_hash)
    stop = _token("unsubscribe", mail.headers.values(), UNSUBSCRIBE_PURPOSE, invitation.unsubscribe_hash)
    if link is None or stop is None:
        return None
    address = wiring.settings.public_url.rstrip("/")
    return _Links(session=f"{address}/i/{link}", stop=f"{address}/unsubscribe/{stop}/sessions")


def _token(folder: str, words: Iterable[str], purpose: str, known: bytes) -> str | None:
    """The one among these words that this hash was made of."""
    for word in words:
        found = re.search(rf"/{folder}/([\w-]+)", word)
        if found is not None and token_hash(found[1], purpose) == known:
            return found[1]
    return None
