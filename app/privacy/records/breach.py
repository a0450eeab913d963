"""Whom a breach concerns: everybody whose data was opened in a time, by which sign-in, as the audit log has it (GDPR
Art. 33(2) and (3)(a), Art. 34).

Ids only. Names and addresses are opened when the accounts' owners ask for them, and that is in their logs. The log
knows what was played, read, downloaded, exported or watched live, and which pages showed names, addresses, words or
notes: of a list it names everybody who may have stood on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from app.accounts.models import Member
from app.accounts.reads import Listed
from app.accounts.service import EMAIL_FIELD as MEMBER_EMAIL
from app.accounts.service import NAME_FIELD as MEMBER_NAME
from app.audit import SYSTEM, Action, AuditEvent, record
from app.database import Database, Db
from app.invitations.models import Invitation
from app.participants.models import Participant
from app.participants.service import EMAIL_FIELD, NAME_FIELD
from app.privacy.records.models import DataRequest, Erasure
from app.sealed_columns import SealedColumns
from app.sessions.disclosure_models import Disclosure
from app.sessions.models import Recording
from app.sessions.response_models import Response
from recordings.model import AccountId, PersonId

EVERYTHING = "everything held of them"
READINGS: Mapping[Action, str] = {
    Action.ACCOUNT_EXPORTED: EVERYTHING,
    Action.ANSWERS_READ: "answers",
    Action.ANSWERS_DOWNLOADED: "answers",
    Action.CONTACTS_EXPORTED: "name and address",
    Action.DATA_EXPORTED: EVERYTHING,
    Action.DATA_OPENED: EVERYTHING,
    Action.DATA_SHOWN: "name, address, own words or notes",
    Action.LIVE_WATCHED: "picture and sound, live",
    Action.RECORDING_DOWNLOADED: "recording",
    Action.RECORDING_VIEWED: "recording",
    Action.SESSION_REVIEWED: "name, transcript and notes",
    Action.SUPPORT_READ: "name, recording or transcript",
    Action.TRANSCRIPT_READ: "transcript",
}
"""Actions by which somebody's data was opened, and what of it."""
PURPOSE = "notification of a breach"


@dataclass(frozen=True, kw_only=True)
class Concerned:
    """One person's data, opened once. by: as the log names who did it; themselves: their own sign-in did.

    login: the sign-in it came from, where the log has it; subject: the thing that was opened; name and email: empty
    unless they were asked for."""

    account: UUID
    person: UUID
    member: bool
    data: str
    action: Action
    subject: str
    at: datetime
    by: str
    login: str
    name: str = ""
    email: str = ""

    @property
    def themselves(self) -> bool:
        return self.by == f"{'member' if self.member else 'participant'}:{self.person}"


async def concerned(
    database: Database,
    columns: SealedColumns,
    *,
    since: datetime,
    until: datetime,
    account: UUID | None = None,
    with_contacts: bool = False,
) -> list[Concerned]:
    """Of every account or of one, oldest first. since <= at < until."""
    async with database.transaction() as db:
        accounts = set(await db.scalars(text("SELECT account_id FROM audit_heads()")))
    found: list[Concerned] = []
    for one in sorted(accounts & {account} if account else accounts, key=str):
        async with database.transaction(AccountId(one)) as db:
            lines = await _of_account(db, AccountId(one), since, until)
            found += await _with_contacts(db, columns, AccountId(one), lines) if with_contacts else lines
    return found


async def _of_account(db: Db, account: AccountId, since: datetime, until: datetime) -> list[Concerned]:
    events = (
        await db.scalars(
            select(AuditEvent)
            .where(AuditEvent.action.in_([str(action) for action in READINGS]))
            .where(AuditEvent.at >= since, AuditEvent.at < until)
            .order_by(AuditEvent.number)
        )
    ).all()
    people = await _people(db, events)
    return [
        Concerned(
            account=account,
            person=person,
            member=is_member,
            data=READINGS[Action(event.action)],
            action=Action(event.action),
            subject=event.subject,
            at=event.at,
            by=event.actor,
            login=str(event.facts.get("login") or ""),
        )
        for event in events
        for person, is_member in dict.fromkeys(
            (person, is_member) for person, is_member, held in people.get(_thing(event), ()) if held.covers(event.at)
        )
    ]


@dataclass(frozen=True)
class _Held:
    """From when until when there was something to open."""

    since: datetime | None = None
    until: datetime | None = None

    def covers(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


_People = dict[str, list[tuple[UUID, bool, _Held]]]


def _thing(event: AuditEvent) -> str:
    """What was opened: "session:…" of the answers is another thing than "session:…" of the recordings."""
    if event.action == Action.DATA_SHOWN and not event.subject.startswith(("participant:", "recording:")):
        return f"shown:{event.subject}"
    answers = event.action in (Action.ANSWERS_READ, Action.ANSWERS_DOWNLOADED)
    return f"answers:{event.subject}" if answers else event.subject


async def _people(db: Db, events: Sequence[AuditEvent]) -> _People:
    """Whom each thing belongs to: (person, is a member, when)."""
    things = {_thing(event) for event in events}
    found: _People = {}
    recordings = Recording.id.in_(_ids(things, "recording:")) | Recording.session_id.in_(_ids(things, "session:"))
    for row in await db.scalars(select(Recording).where(recordings)):
        for thing in things & {f"recording:{row.id}", f"session:{row.session_id}"}:
            held = _Held(row.created_at, row.erased_at)
            found.setdefault(thing, []).append((row.person_id, row.person_is_member, held))
    sessions = _ids(things, "answers:session:")
    for answered in await db.scalars(select(Response).where(Response.session_id.in_(sessions))):
        held = _Held(answered.answered_at, answered.erased_at)
        found.setdefault(f"answers:session:{answered.session_id}", []).append((answered.participant_id, False, held))
    for sort in ("participant", "member"):
        found |= {f"{sort}:{person}": [(person, sort == "member", _Held())] for person in _ids(things, f"{sort}:")}
    for thing in (thing for thing in things if thing.startswith("account:")):
        everybody = await db.execute(select(Participant.id, Participant.created_at, Participant.erased_at))
        found[thing] = [(person, False, _Held(made, gone)) for person, made, gone in everybody]
        members = await db.execute(select(Member.id, Member.created_at, Member.removed_at))
        found[thing] += [(person, True, _Held(made, gone)) for person, made, gone in members]
    for thing, shown in (await _shown(db, things)).items():
        found.setdefault(thing, []).extend(shown)
    return found


async def _shown(db: Db, things: Collection[str]) -> _People:
    """Of pages with names, addresses, words and notes: everybody the page may have named."""
    found: _People = {}
    invited = (
        select(Invitation.session_id, Participant.id, Invitation.created_at, Participant.erased_at)
        .join(Participant, Participant.id == Invitation.participant_id)
        .where(Invitation.session_id.in_(_ids(things, "shown:session:")))
    )
    for session, person, since, until in await db.execute(invited):
        found.setdefault(f"shown:session:{session}", []).append((person, False, _Held(since, until)))
    asked = select(DataRequest.id, DataRequest.participant_id).where(DataRequest.id.in_(_ids(things, "shown:request:")))
    for request, person in await db.execute(asked):
        found.setdefault(f"shown:request:{request}", []).append((person, False, _Held()))
    lists = {
        Listed.REQUESTS: select(DataRequest.participant_id, DataRequest.asked_at),
        Listed.ERASURES: select(Erasure.person_id, Erasure.asked_at),
        Listed.DISCLOSURES: select(Disclosure.participant_id, Disclosure.at),
        Listed.HOLDS: select(Recording.person_id, Recording.created_at).where(Recording.held_reason.is_not(None)),
        Listed.AUDIT: select(Participant.id, Participant.created_at),
    }
    for listed, named in lists.items():
        if (thing := f"shown:{listed}") in things:
            gone = dict((await db.execute(select(Participant.id, Participant.erased_at))).tuples().all())
            rows = (await db.execute(named)).tuples().all()
            found[thing] = [(one, False, _Held(since, gone[one])) for one, since in rows if one in gone]
    return found


def _ids(things: Collection[str], begins: str) -> set[UUID]:
    return {UUID(thing.removeprefix(begins)) for thing in things if thing.startswith(begins)}


async def _with_contacts(
    db: Db, columns: SealedColumns, account: AccountId, lines: Sequence[Concerned]
) -> list[Concerned]:
    """Opened for whoever notifies them; the account's log says so first. Of the erased nothing opens."""
    people = {(line.person, line.member) for line in lines}
    for person, is_member in sorted(people, key=str):
        subject = f"{'member' if is_member else 'participant'}:{person}"
        facts = {"purpose": PURPOSE}
        await record(db, account=account, actor=SYSTEM, action=Action.CONTACTS_EXPORTED, subject=subject, facts=facts)
    ids = [person for person, _is_member in people]
    guests = await db.scalars(select(Participant).where(Participant.id.in_(ids)))
    sealed = {PersonId(row.id): {NAME_FIELD: row.name, EMAIL_FIELD: row.email} for row in guests}
    members = await db.scalars(select(Member).where(Member.id.in_(ids)))
    sealed |= {PersonId(row.id): {MEMBER_NAME: row.name, MEMBER_EMAIL: row.email} for row in members}
    opened = {person: tuple(row.values()) for person, row in columns.open_rows(account, sealed).items()}
    return [
        replace(line, name=opened[PersonId(line.person)][0], email=opened[PersonId(line.person)][1])
        if line.person in opened
        else line
        for line in lines
    ]
