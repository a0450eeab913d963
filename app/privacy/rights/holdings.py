"""What is held about a participant, as My data shows it: every recording with its date, and the consent log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, true

from app.accounts.assignments import seen_by
from app.accounts.models import Member, Role
from app.database import Db, now_in
from app.language import N_, NN_, Language, _, ngettext
from app.participants.consents import consent_log, standing_in
from app.participants.models import Consent, Participant
from app.participants.notice import kind_words
from app.participants.service import EMAIL_FIELD, NAME_FIELD
from app.privacy.erasing.lifeline import Lifeline, lifeline
from app.privacy.rights.my_answers import HeldAnswers, held_answers
from app.privacy.rights.where_invited import Place
from app.sealed_columns import SealedColumns
from app.sessions.listing import RecordingLine, recordings_of_person
from app.sessions.models import Recording, Session
from app.sessions.policy import is_held
from app.sessions.service import recording_facts
from app.studies.models import ConsentKind
from app.studies.service import contact_of
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


async def holdings(db: Db, columns: SealedColumns, row: Participant, places: Sequence[Place]) -> Holdings:
    """Everything of one participant in this account; places: all they were invited to."""
    account, participant = AccountId(row.account_id), PersonId(row.id)
    log = await consent_log(db, participant=participant)
    here = {place.session.id: (place.session, place.study) for place in places}
    recordings = await recordings_of_person(db, participant, here)
    answers = await held_answers(db, columns, row, places)
    now = await now_in(db)
    sessions = [
        _session(
            columns,
            place,
            given=standing_in(entry for entry in log if entry.session_id == place.session.id),
            recordings=[_recording(*one, place.session, now) for one in recordings.get(place.session.id, ())],
            answers=answers.get(place.session.id, HeldAnswers()),
        )
        for place in places
    ]
    titles = {session.id: session.study for session in sessions}
    return Holdings(
        name=columns.open(account, participant, NAME_FIELD, row.name),
        email=columns.open(account, participant, EMAIL_FIELD, row.email),
        language=Language(row.language).own_name if row.language else "",
        sessions=tuple(sessions),
        consents=tuple(_consent(entry, titles) for entry in log),
        watchers=await _watchers(db, places),
    )


def _session(
    columns: SealedColumns,
    place: Place,
    *,
    given: Collection[ConsentKind],
    recordings: Sequence[HeldRecording],
    answers: HeldAnswers,
) -> HeldSession:
    contact = contact_of(columns, place.study)
    return HeldSession(
        id=place.session.id,
        title=place.session.title,
        study=place.study.title,
        contact_name=contact.name,
        contact_email=contact.email,
        given=tuple(kind for kind in ConsentKind if kind in given),
        recordings=tuple(recordings),
        answers=answers,
    )


def _recording(row: Recording, line: RecordingLine, session: Session, now: datetime) -> HeldRecording:
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


async def _watchers(db: Db, places: Sequence[Place]) -> str:
    """1 owner and 2 researchers: the roles that open recordings, where a study is seen by those assigned alone only
    whoever is assigned to one of these sessions. Observers see the live session only."""
    seeing_any = or_(*(seen_by(place.session.id, place.study.id) for place in places))
    limited = all(place.study.assigned_only for place in places) and bool(places)
    roles = Counter(
        await db.scalars(select(Member.role).where(Member.removed_at.is_(None), seeing_any if limited else true()))
    )
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
