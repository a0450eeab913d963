"""What is held about a participant, as My data shows it: every recording with its date, and the consent log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app.accounts.models import Member, Role
from app.database import Db, now_in
from app.invitations.models import Invitation
from app.language import N_, NN_, Language, _, ngettext
from app.participants.consents import consent_log, standing_in
from app.participants.models import Consent, Participant
from app.participants.notice import kind_words
from app.participants.service import EMAIL_FIELD, NAME_FIELD
from app.privacy.lifeline import Lifeline, lifeline
from app.privacy.my_answers import HeldAnswers, held_answers
from app.sealed_columns import SealedColumns
from app.sessions.listing import RecordingLine, recordings_of_session
from app.sessions.models import Recording, Session
from app.sessions.policy import is_held
from app.sessions.service import find_session, recording_facts
from app.studies.models import ConsentKind
from app.studies.service import contact_of, find_study
from recordings.model import AccountId, PersonId

_WATCHING = {
    Role.OWNER: NN_("%(n)s owner", "%(n)s owners"),
    Role.RESEARCHER: NN_("%(n)s researcher", "%(n)s researchers"),
}


@dataclass(frozen=True, kw_only=True)
class HeldRecording:
    """held: the kind of reason for which it is kept although its date has come or erasure was asked for, until
    held_until; restricted: kept and shown to nobody; asked: its erasure was asked for."""

    line: RecordingLine
    life: Lifeline
    held: str = ""
    held_until: datetime | None = None
    restricted: bool = False
    asked: bool = False


@dataclass(frozen=True, kw_only=True)
class HeldSession:
    """One session the person was invited to. given: kinds agreed to and not taken back."""

    id: UUID
    title: str
    study: str
    contact_name: str
    contact_email: str
    given: tuple[ConsentKind, ...]
    recordings: tuple[HeldRecording, ...]
    answers: HeldAnswers


@dataclass(frozen=True, kw_only=True)
class ConsentLine:
    at: datetime
    session: str
    kind: str
    given: bool
    text_version: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """watchers: who of the account can see what was recorded, in words."""

    name: str
    email: str
    language: str
    sessions: tuple[HeldSession, ...]
    consents: tuple[ConsentLine, ...]
    watchers: str


async def holdings(db: Db, columns: SealedColumns, *, account: AccountId, participant: PersonId) -> Holdings:
    """Everything of one participant in this account."""
    row = await db.get_one(Participant, participant)
    invited = await db.scalars(
        select(Invitation.session_id).where(Invitation.participant_id == participant).order_by(Invitation.created_at)
    )
    log = await consent_log(db, participant=participant)
    sessions = [await _session(db, columns, participant, session, log) for session in invited]
    titles = {session.id: session.study for session in sessions}
    return Holdings(
        name=columns.open(account, participant, NAME_FIELD, row.name),
        email=columns.open(account, participant, EMAIL_FIELD, row.email),
        language=Language(row.language).own_name if row.language else "",
        sessions=tuple(sessions),
        consents=tuple(_consent(entry, titles) for entry in log),
        watchers=await _watchers(db),
    )


async def _session(
    db: Db, columns: SealedColumns, participant: PersonId, session: UUID, log: Sequence[Consent]
) -> HeldSession:
    row = await find_session(db, session)
    study = await find_study(db, row.study_id)
    contact = contact_of(columns, study)
    listing = await recordings_of_session(db, row, study, {participant: "you"})
    given = standing_in(entry for entry in log if entry.session_id == session)
    mine = [line for line in listing.lines if line.person == participant]
    found = await db.scalars(select(Recording).where(Recording.id.in_([line.id for line in mine]))) if mine else ()
    recordings = {recording.id: recording for recording in found}
    now = await now_in(db)
    return HeldSession(
        id=session,
        title=row.title,
        study=study.title,
        contact_name=contact.name,
        contact_email=contact.email,
        given=tuple(kind for kind in ConsentKind if kind in given),
        recordings=tuple(_recording(recordings[line.id], row, line, now) for line in mine),
        answers=await held_answers(db, columns, session=row, study=study, participant=participant),
    )


def _recording(row: Recording, session: Session, line: RecordingLine, now: datetime) -> HeldRecording:
    begun = row.recorded_at or row.created_at
    held = is_held(recording_facts(row, session), now)
    return HeldRecording(
        held=(row.held_reason or "") if held else "",
        held_until=row.held_until if held else None,
        restricted=row.restricted_at is not None,
        asked=row.hidden_at is not None,
        line=line,
        life=lifeline([(N_("recorded"), begun)], now, ends_at=row.erased_at or line.keep_until),
    )


async def _watchers(db: Db) -> str:
    """1 owner and 2 researchers: the roles that open recordings. Observers see the live session only."""
    roles = Counter(await db.scalars(select(Member.role).where(Member.removed_at.is_(None))))
    seeing = [role for role in (Role.OWNER, Role.RESEARCHER) if roles[role]]
    return _(" and ").join(ngettext(*_WATCHING[role], roles[role]) for role in seeing)


def _consent(entry: Consent, titles: dict[UUID, str]) -> ConsentLine:
    return ConsentLine(
        at=entry.at,
        session=titles.get(entry.session_id, ""),
        kind=kind_words(ConsentKind(entry.kind))[0],
        given=entry.given,
        text_version=entry.text_version,
        fingerprint=entry.text_hash.hex()[:16],
    )
