"""The rows of one participant, as the copy they take along names them: every column the inventory calls copied or
opened, and no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, or_, select

from app.accounts.models import Account, Login
from app.accounts.reads import Listed
from app.audit import Action, AuditEvent
from app.database import Base, Db, now_in
from app.invitations.models import Invitation
from app.library.corrections import open_correction
from app.library.models import LineCorrection
from app.mail.models import OutgoingMail, Suppression
from app.mail.service import open_mail
from app.participants.models import AddressChange, Consent, DataCode, Participant
from app.participants.service import ADDRESS_FIELD, EMAIL_FIELD, NAME_FIELD
from app.privacy.erasing.recipients import WORDS_FIELD as NOTICE_WORDS_FIELD
from app.privacy.records.inventory import INVENTORY
from app.privacy.records.models import Certificate, DataRequest, Erasure, RequestItem
from app.privacy.rights.disclosing import known_on
from app.privacy.rights.requests import ANSWER_FIELD, EXTENSION_FIELD, WORDS_FIELD
from app.room.models import Presence
from app.sealed_columns import SealedColumns
from app.sessions.disclosure_models import Disclosure, RecipientNotice
from app.sessions.disclosures import CONTACT_FIELD, LEAVES_FOR, RECIPIENT_FIELD, UNTOLD_FIELD
from app.sessions.disclosures import WORDS_FIELD as GIVEN_WORDS_FIELD
from app.sessions.models import Recording, Session, Take, Track, Transcript
from app.sessions.response_models import Answer, Response, Supplement
from app.sessions.responses import open_answer
from app.sessions.supplements import TEXT_FIELD
from app.studies.models import ConsentText, Question, Study
from app.studies.service import contact_of
from recordings.model import AccountId, PersonId

_SECRET_LINK = re.compile(r"(https?://[^\s/]+/[a-z-]+/)[\w.-]{20,}(?:/[\w.-]+)?")
_READINGS_OF_SESSIONS = (Action.DATA_SHOWN, Action.SESSION_REVIEWED, Action.ANSWERS_READ, Action.ANSWERS_DOWNLOADED)
_SECRET_CODE = re.compile(r"^\d{6}$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Rows of one participant by table, in the order they came. person: who they are about."""

    person: PersonId
    rows: Mapping[type[Base], Sequence[Any]]

    def of(self, model: type[Base]) -> Sequence[Any]:
        return self.rows[model]


async def find_rows(db: Db, participant: Participant, *, for_themselves: bool) -> Found:
    """Every row about this participant, and what the study says that belongs to something of theirs. Of what is being
    erased no words, and of what is restricted only for_themselves."""
    person = PersonId(participant.id)
    rows: dict[type[Base], Sequence[Any]] = {Participant: [participant]}

    async def take(model: type[Any], where: ColumnElement[bool], order: Any) -> list[UUID]:
        rows[model] = (await db.scalars(select(model).where(where).order_by(order))).all()
        return [row.id for row in rows[model] if hasattr(row, "id")]

    await take(AddressChange, AddressChange.participant_id == person, AddressChange.asked_at)
    await take(DataCode, DataCode.participant_id == person, DataCode.expires_at)
    await take(Consent, Consent.participant_id == person, Consent.number)
    await take(Invitation, Invitation.participant_id == person, Invitation.created_at)
    await take(Login, Login.participant_id == person, Login.created_at)
    await take(OutgoingMail, OutgoingMail.person_id == person, OutgoingMail.created_at)
    await take(Suppression, Suppression.address_index == participant.email_index, Suppression.at)
    await take(Presence, Presence.person_id == person, Presence.seen_at)
    recordings = await take(Recording, Recording.person_id == person, Recording.created_at)
    await take(Track, Track.recording_id.in_(recordings), Track.created_at)
    await take(Take, Take.recording_id.in_(recordings), Take.started_at)
    await take(Transcript, Transcript.recording_id.in_(recordings), Transcript.created_at)
    shown = {row.id for row in rows[Recording] if _shown(row, for_themselves)}
    corrected = {row.id for row in rows[Transcript] if row.recording_id in shown}
    await take(LineCorrection, LineCorrection.transcript_id.in_(corrected), LineCorrection.at)
    await take(Response, Response.participant_id == person, Response.answered_at)
    answered = {row.id for row in rows[Response] if _shown(row, for_themselves)}
    await take(Answer, Answer.response_id.in_(answered), Answer.id)
    added = Supplement.recording_id.in_(shown) | Supplement.response_id.in_(answered)
    await take(Supplement, (Supplement.participant_id == person) & added, Supplement.at)
    requests = await take(DataRequest, DataRequest.participant_id == person, DataRequest.asked_at)
    await take(RequestItem, RequestItem.request_id.in_(requests), RequestItem.id)
    known = known_on(await now_in(db))
    told = or_(Disclosure.hidden_until.is_(None), Disclosure.hidden_until <= known)
    given = await take(Disclosure, (Disclosure.participant_id == person) & told, Disclosure.at)
    await take(RecipientNotice, RecipientNotice.disclosure_id.in_(given), RecipientNotice.made_at)
    erasures = await take(Erasure, Erasure.person_id == person, Erasure.asked_at)
    await take(Certificate, Certificate.erasure_id.in_(erasures), Certificate.issued_at)
    await _context(take, rows)
    sessions = {row.id for row in rows[Session]}
    stands_on = {
        Listed.REQUESTS: requests,
        Listed.ERASURES: erasures,
        Listed.DISCLOSURES: given,
        Listed.HOLDS: recordings,
    }
    lists = [Listed.AUDIT, *(listed for listed, named in stands_on.items() if named)]
    subjects = [
        f"participant:{person}",
        *(f"recording:{one}" for one in recordings),
        *(f"request:{one}" for one in requests),
        *(f"erasure:{one}" for one in erasures),
        *(f"disclosure:{one}" for one in given),
    ]
    of_session = AuditEvent.subject.in_([f"session:{one}" for one in sessions])
    hidden = set(await db.scalars(select(Disclosure.ground).where(Disclosure.participant_id == person, ~told)))
    secret = [purpose for purpose, ground in LEAVES_FOR.items() if ground in hidden]
    await take(
        AuditEvent,
        or_(
            AuditEvent.subject.in_(subjects),
            AuditEvent.actor == f"participant:{person}",
            AuditEvent.facts["participant"].astext == str(person),
            of_session & AuditEvent.action.in_(_READINGS_OF_SESSIONS),
            AuditEvent.subject.in_(lists) & (AuditEvent.at >= participant.created_at),
        )
        & func.coalesce(AuditEvent.facts["purpose"].astext, "").not_in(secret),  # a copy that they may not know of yet
        AuditEvent.number,
    )
    return Found(person=person, rows=rows)


def _shown(row: Recording | Response, for_themselves: bool) -> bool:
    """hidden: it is being erased; restricted: for nobody but them (GDPR Art. 18(2))."""
    return row.hidden_at is None and (for_themselves or row.restricted_at is None)


async def _context(take: Callable[..., Any], rows: dict[type[Base], Sequence[Any]]) -> None:
    """Sessions they were invited to, with their studies, consent texts and the questions they answered."""
    sessions = {row.session_id for row in (*rows[Invitation], *rows[Recording])}
    await take(Session, Session.id.in_(sessions), Session.created_at)
    studies = {row.study_id for row in rows[Session]}
    await take(Study, Study.id.in_(studies), Study.created_at)
    await take(ConsentText, ConsentText.study_id.in_(studies), ConsentText.created_at)
    await take(Question, Question.id.in_({row.question_id for row in rows[Answer]}), Question.position)
    await take(Account, Account.account_id == rows[Participant][0].account_id, Account.created_at)


def to_plain(columns: SealedColumns, found: Found) -> dict[str, list[dict[str, Any]]]:
    """Table -> rows -> column -> JSON value, as the inventory says."""
    plain: dict[str, list[dict[str, Any]]] = {}
    for model, rows in found.rows.items():
        name: str = model.__tablename__
        kept = INVENTORY[name]
        plain[name] = [
            {column: _json(getattr(row, column)) for column in kept.copied.split()}
            | {column: OPENERS[name, column](columns, found, row) for column in kept.opened.split()}
            for row in rows
        ]
    return plain


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID | datetime | date):
        return str(value) if isinstance(value, UUID) else value.isoformat()
    if isinstance(value, list):
        return [_json(one) for one in value]
    return value


def _of_person(field: str, column: str) -> Callable[[SealedColumns, Found, Any], str | None]:
    """A column sealed under the person's own key."""

    def read(columns: SealedColumns, found: Found, row: Any) -> str | None:
        sealed = getattr(row, column)
        return None if sealed is None else columns.open(AccountId(row.account_id), found.person, field, sealed)

    return read


def _of_account(field: str, column: str) -> Callable[[SealedColumns, Found, Any], str]:
    """A column sealed under the account's key."""
    return lambda columns, found, row: columns.open(AccountId(row.account_id), None, field, getattr(row, column))


def _mail(columns: SealedColumns, found: Found, row: OutgoingMail) -> dict[str, str] | None:
    """Without codes and secret links: whoever holds the copy must not be able to open anything with it."""
    mail = open_mail(columns, row)
    if mail is None:
        return None
    text = _SECRET_CODE.sub("[code]", _SECRET_LINK.sub(r"\1[secret]", mail.text))
    return {"to": mail.to, "name": mail.name, "subject": mail.subject, "text": text}


def _answer(columns: SealedColumns, found: Found, row: Answer) -> Any:
    response = next(one for one in found.of(Response) if one.id == row.response_id)
    return msgspec.to_builtins(open_answer(columns, response, row))


OPENERS: Mapping[tuple[str, str], Callable[[SealedColumns, Found, Any], Any]] = {
    ("participant", "name"): _of_person(NAME_FIELD, "name"),
    ("participant", "email"): _of_person(EMAIL_FIELD, "email"),
    ("address_change", "address"): _of_person(ADDRESS_FIELD, "address"),
    ("outgoing_mail", "content"): _mail,
    ("line_correction", "text"): lambda columns, found, row: open_correction(columns, row, found.person),
    ("answer", "value"): _answer,
    ("supplement", "text"): _of_person(TEXT_FIELD, "text"),
    ("data_request", "words"): _of_person(WORDS_FIELD, "words"),
    ("data_request", "answer"): _of_person(ANSWER_FIELD, "answer"),
    ("data_request", "extension"): _of_person(EXTENSION_FIELD, "extension"),
    ("disclosure", "recipient"): _of_account(RECIPIENT_FIELD, "recipient"),
    ("disclosure", "contact"): _of_account(CONTACT_FIELD, "contact"),
    ("disclosure", "words"): _of_person(GIVEN_WORDS_FIELD, "words"),
    ("disclosure", "untold"): _of_person(UNTOLD_FIELD, "untold"),
    ("recipient_notice", "words"): _of_account(NOTICE_WORDS_FIELD, "words"),
    ("study", "contact_name"): lambda columns, found, row: contact_of(columns, row).name,
    ("study", "contact_email"): lambda columns, found, row: contact_of(columns, row).email,
}
