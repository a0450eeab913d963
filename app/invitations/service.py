"""Verbs of an invitation: invite, find by link, accept, admit, revoke, unsubscribe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select

from app.accounts.agreement import require_agreement
from app.accounts.closing import require_staying
from app.accounts.login import end_logins_of
from app.audit import SYSTEM, Action, record
from app.database import Db, door, note, now_in, set_account
from app.errors import Conflict, NotThere
from app.invitations.models import Invitation
from app.invitations.policy import InviteFacts, LinkFacts, expires_at, may_invite, may_open, may_open_data
from app.language import Language, say_moment, speaking
from app.ledger_entries import InvitationRevoked
from app.limits import Limit, spend
from app.mail.service import ended_by, is_suppressed, queue, stop_waiting, unsubscribe_address
from app.participants.models import Participant
from app.participants.service import EMAIL_FIELD, NAME_FIELD, mail_language, study_notice
from app.sessions.models import Session, SessionState
from app.sessions.service import find_session
from app.studies.service import find_study
from app.third_parties import Purpose, require_reviewed
from app.tokens import new_token, token_hash
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

PURPOSE = "invitation"
UNSUBSCRIBE_PURPOSE = "unsubscribe"
INVITATIONS = Limit(name="invitations of an account", times=20_000, per=timedelta(days=1))


class LinkUnknown(NotThere):
    """This link is not known here. Please check that it was copied completely."""


class LinkClosed(NotThere):
    """This link does not work any more."""


class CannotInvite(Conflict):
    """This person cannot be invited."""


@dataclass(frozen=True, kw_only=True)
class Invited:
    """An invitation just written; its mail waits in the same transaction. link: shown nowhere but in the mail."""

    invitation: UUID
    participant: PersonId
    link: str


async def invite(
    db: Db,
    wiring: Wiring,
    *,
    account: AccountId,
    session: UUID,
    name: str,
    email: str,
    by: PersonId,
    words: str = "",
) -> Invited:
    """Invite one person to one session: participant, invitation and mail in one commit. Raises CannotInvite,
    AgreementNeeded, AccountCloses, ReviewOverdue."""
    await require_agreement(db)
    await require_staying(db)
    require_reviewed(wiring.settings, Purpose.MAIL, (await now_in(db)).date())
    row = await find_session(db, session)
    await db.refresh(row, with_for_update=True)  # two invitations to a session for one: one wins
    index = wiring.columns.blind_index(account, email)
    participant = await db.scalar(select(Participant).where(Participant.email_index == index))
    before = await _invitation_of(db, session, participant)
    now = await now_in(db)
    decision = may_invite(
        InviteFacts(
            state=SessionState(row.state),
            group=row.group,
            others_invited=await _count_others(db, session, participant),
            already_invited=before is not None and before.revoked_at is None and not _is_without_address(participant),
            suppressed=await is_suppressed(db, address_index=index),
            study_closed=(await find_study(db, row.study_id)).closed_at is not None,
        )
    )
    if not decision:
        raise CannotInvite(decision.reason)
    if participant is None:
        participant = _new_participant(db, wiring, account, name, email, index)
    elif _is_without_address(participant):
        participant.email = wiring.columns.seal(account, PersonId(participant.id), EMAIL_FIELD, email)
    token, unsubscribe_token = new_token(), new_token()
    invitation = before or Invitation(
        id=uuid4(), account_id=account, session_id=session, participant_id=participant.id, created_at=now
    )
    invitation.token_hash = token_hash(token, PURPOSE)
    invitation.unsubscribe_hash = token_hash(unsubscribe_token, UNSUBSCRIBE_PURPOSE)
    invitation.expires_at = expires_at(row.starts_at, now)
    invitation.revoked_at = None
    await db.flush()
    db.add(invitation)
    await db.flush()
    address = wiring.settings.public_url.rstrip("/")
    link = f"{address}/i/{token}"
    await _mail(db, wiring, invitation, row, name, email, words, link, f"{address}/unsubscribe/{unsubscribe_token}")
    await _note(db, invitation, Action.INVITED, f"member:{by}")
    return Invited(invitation=invitation.id, participant=PersonId(participant.id), link=link)


async def count_against_limit(db: Db, wiring: Wiring, *, account: AccountId, people: int) -> None:
    """After inviting so many. Raises Limited when the account has invited too many today; its mails reach strangers."""
    await spend(db, wiring.columns, INVITATIONS, str(account), times=people)


async def find_by_token(db: Db, token: str, *, for_data: bool = False) -> Invitation:
    """The invitation behind a link; from here on its account is set. Raises LinkUnknown, or LinkClosed with
    the reason. for_data: the way to *my data*, which an expired or withdrawn invitation still opens."""
    invitation = await invitation_behind(db, token)
    if invitation is None:
        raise LinkUnknown
    participant = await db.get_one(Participant, invitation.participant_id)
    facts = LinkFacts(
        expires_at=invitation.expires_at,
        revoked=invitation.revoked_at is not None,
        erased=participant.erased_at is not None,
    )
    decision = may_open_data(facts) if for_data else may_open(facts, await now_in(db))
    if not decision:
        raise LinkClosed(decision.reason)
    return invitation


async def invitation_behind(db: Db, token: str) -> Invitation | None:
    """Whatever became of it: so that a closed link still says whom to ask. Sets the account."""
    found = await door(db, "find_invitation", token_hash=token_hash(token, PURPOSE))
    if found is None:
        return None
    await set_account(db, found.account_id)
    return await db.get_one(Invitation, found.invitation_id)


async def invitation_of(db: Db, *, session: UUID, participant: PersonId) -> Invitation | None:
    """The invitation of a participant to a session, whatever became of it."""
    return await db.scalar(
        select(Invitation).where(Invitation.session_id == session, Invitation.participant_id == participant)
    )


async def invitations_of_session(db: Db, *, session: UUID) -> list[Invitation]:
    """In the order of inviting."""
    found = await db.scalars(
        select(Invitation).where(Invitation.session_id == session).order_by(Invitation.created_at, Invitation.id)
    )
    return list(found)


async def accept(db: Db, *, invitation: Invitation) -> None:
    """The participant has registered. Safe to run twice."""
    if invitation.accepted_at is None:
        invitation.accepted_at = await now_in(db)


async def admit(db: Db, *, session: UUID, participant: PersonId, by: str = SYSTEM) -> Invitation:
    """Let in from the waiting room. Safe to run twice. Raises NotThere."""
    invitation = await invitation_of(db, session=session, participant=participant)
    if invitation is None or invitation.revoked_at is not None:
        raise NotThere
    if invitation.admitted_at is None:
        invitation.admitted_at = await now_in(db)
        await _note(db, invitation, Action.ADMITTED, by)
    return invitation


async def revoke(db: Db, *, session: UUID, invitation: UUID, by: str = SYSTEM) -> Invitation:
    """The link stops working at once, a mail still waiting is not sent, and the person is signed out.
    Safe to run twice. Raises NotThere."""
    row = await db.get(Invitation, invitation, with_for_update=True)
    if row is None or row.session_id != session:
        raise NotThere
    if row.revoked_at is None:
        link = row.token_hash.hex()
        note(db, InvitationRevoked(at=await now_in(db), account=row.account_id, link=link))
        await close_link(db, row)
        await _note(db, row, Action.INVITATION_REVOKED, by)
    return row


async def close_link(db: Db, row: Invitation) -> None:
    """Nobody comes in by this invitation any more."""
    row.revoked_at = await now_in(db)
    await stop_waiting(db, person=PersonId(row.participant_id), key=mail_key(row))
    await end_logins_of(db, person=PersonId(row.participant_id))


async def find_unsubscribe(db: Db, token: str) -> Invitation:
    """The invitation whose mail carried this unsubscribe link; sets the account, changes nothing."""
    found = await door(db, "find_unsubscribe", token_hash=token_hash(token, UNSUBSCRIBE_PURPOSE))
    if found is None:
        raise LinkUnknown
    await set_account(db, found.account_id)
    return await db.get_one(Invitation, found.invitation_id)


async def unsubscribe(db: Db, *, token: str) -> None:
    """No more invitations of this account to this address, in this transaction: mails already waiting stop too.
    Safe to run twice; never expires. Raises LinkUnknown."""
    invitation = await find_unsubscribe(db, token)
    participant = await db.get_one(Participant, invitation.participant_id)
    if participant.email_index is not None:  # after erasure the suppression made before still stands
        account = AccountId(invitation.account_id)
        await unsubscribe_address(db, account=account, address_index=participant.email_index)
    await stop_waiting(db, person=PersonId(participant.id))
    await _note(db, invitation, Action.UNSUBSCRIBED, f"participant:{participant.id}")


async def _note(db: Db, row: Invitation, action: Action, by: str) -> None:
    facts = {"session": row.session_id, "participant": row.participant_id}
    subject = f"invitation:{row.id}"
    await record(db, account=row.account_id, actor=by, action=action, subject=subject, facts=facts)


def _is_without_address(participant: Participant | None) -> bool:
    """A backup was restored from before the address was corrected: only its keyed hash is known, and this fits."""
    return participant is not None and participant.email is None


def _new_participant(db: Db, wiring: Wiring, account: AccountId, name: str, email: str, index: bytes) -> Participant:
    person = PersonId(uuid4())
    wiring.columns.make_person_key(account, person)
    participant = Participant(
        id=person,
        account_id=account,
        name=wiring.columns.seal(account, person, NAME_FIELD, name),
        email=wiring.columns.seal(account, person, EMAIL_FIELD, email),
        email_index=index,
    )
    db.add(participant)
    return participant


async def _invitation_of(db: Db, session: UUID, participant: Participant | None) -> Invitation | None:
    if participant is None:
        return None
    return await invitation_of(db, session=session, participant=PersonId(participant.id))


async def _count_others(db: Db, session: UUID, participant: Participant | None) -> int:
    others = select(func.count()).where(Invitation.session_id == session, Invitation.revoked_at.is_(None))
    if participant is not None:
        others = others.where(Invitation.participant_id != participant.id)
    return await db.scalar(others) or 0


def mail_key(invitation: Invitation) -> str:
    """Of the mail that brought the link. One per link: inviting again after revoking has a new link and a new mail."""
    return f"invitation-{invitation.token_hash.hex()[:32]}"


async def _mail(
    db: Db,
    wiring: Wiring,
    invitation: Invitation,
    session: Session,
    name: str,
    email: str,
    words: str,
    link: str,
    unsubscribe_link: str,
) -> None:
    account = AccountId(invitation.account_id)
    study = await find_study(db, session.study_id)
    facts, notice = await study_notice(db, wiring.columns, wiring.settings, account=account, study=study)
    language = mail_language(await db.get_one(Participant, invitation.participant_id), study)
    if not (facts.contact_name.strip() and facts.contact_email.strip()):
        raise CannotInvite("This study names no contact whom participants could ask. Please add one first.")
    await queue(
        db,
        wiring.columns,
        settings=wiring.settings,
        account=account,
        person=PersonId(invitation.participant_id),
        template="invitation",
        key=mail_key(invitation),
        optional=True,
        language=language,
        context={
            "account_name": facts.account_name,
            "study_title": facts.title,
            "contact_name": facts.contact_name,
            "contact_email": facts.contact_email,
            "notice_date": notice.dated,
            "when": _when(session, language),
            "words": words,
            "link": link,
            "unsubscribe_link": unsubscribe_link,
        },
        to_name=name,
        to_email=email,
        headers=ended_by(unsubscribe_link, reply_to=facts.contact_email),
    )


def _when(session: Session, language: Language) -> str:
    """In the session's own zone, since a mail cannot know its reader's."""
    if session.starts_at is None:
        return ""
    with speaking(language):
        return say_moment(session.starts_at, session.time_zone, weekday=True)
