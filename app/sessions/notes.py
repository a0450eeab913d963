"""Notes of members: written in the room, kept with their moment, read in review, gone with the session or with the
last one they may be about (privacy.erasing.resting)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update

from app.accounts.service import member_names
from app.audit import Action, record
from app.database import Db, now_in
from app.decisions import ALLOWED, Decision, refused
from app.errors import Conflict, Forbidden, NotThere
from app.language import N_
from app.sealed_columns import SealedColumns
from app.sessions.models import Note, Recording, Session, SessionState
from app.sessions.policy import may_note, note_moment, note_until
from app.studies.clocks import shortest
from app.studies.models import Study
from recordings.model import AccountId, PersonId

TEXT_FIELD = "note.text"


MOMENT_GONE = N_("What was said when this note was begun has been taken back or erased since, so it is not kept.")


class NoMoment(Conflict):
    """There is no moment of this session to keep."""


@dataclass(frozen=True, kw_only=True)
class NoteLine:
    """A note as people read it. name: who wrote it."""

    id: UUID
    member: PersonId
    name: str
    at: datetime
    text: str


def may_delete(*, writer: UUID, member: UUID, owner: bool) -> Decision:
    """Notes are deleted by who wrote them, or by an owner of the account."""
    if owner or writer == member:
        return ALLOWED
    return refused("Only who wrote a note and the account's owner can delete it.")


async def write_note(
    db: Db, columns: SealedColumns, *, session: UUID, member: PersonId, text: str, writing: timedelta
) -> Note:
    """Keep a note. writing: how long ago it was begun. Raises NotThere, NoMoment."""
    row = await db.get(Session, session, with_for_update={"read": True})  # not while its notes are being erased
    if row is None:
        raise NotThere
    now = await now_in(db)
    decision = may_note(SessionState(row.state), row.ended_at, now, erased=await _erased(db, session))
    if not decision:
        raise NoMoment(decision.reason)
    at = note_moment(now, writing, started_at=row.started_at, ended_at=row.ended_at)
    if row.notes_gone_until is not None and at <= row.notes_gone_until:
        raise NoMoment(MOMENT_GONE)
    note = Note(
        id=uuid4(),
        account_id=row.account_id,
        session_id=session,
        member_id=member,
        at=at,
        text=columns.seal(AccountId(row.account_id), None, TEXT_FIELD, text),
    )
    db.add(note)
    await db.flush()
    await record(
        db,
        account=row.account_id,
        actor=f"member:{member}",
        action=Action.NOTE_WRITTEN,
        subject=f"session:{session}",
        facts={"note": note.id},
    )
    return note


async def notes_of_session(db: Db, columns: SealedColumns, *, session: Session, study: Study) -> list[NoteLine]:
    """In the order of their moments; none once the session's date has come, swept or not, and none that is being
    erased. For pages and files ask app.invitations.noted, which knows whom they are about."""
    found = (await db.scalars(select(Note).where(Note.session_id == session.id).order_by(Note.at, Note.id))).all()
    now = await now_in(db)
    names = await member_names(db, columns) if found else {}
    return [
        NoteLine(
            id=note.id,
            member=PersonId(note.member_id),
            name=names.get(PersonId(note.member_id), ""),
            at=note.at,
            text=columns.open(AccountId(note.account_id), None, TEXT_FIELD, note.text),
        )
        for note in found
        if not _past(note, session, study, now)
        and not (session.notes_gone_until is not None and note.at <= session.notes_gone_until)
    ]


async def delete_note(db: Db, *, session: UUID, note: UUID, member: PersonId, owner: bool) -> None:
    """Raises NotThere, Forbidden."""
    row = await db.get(Note, note, with_for_update=True)
    if row is None or row.session_id != session:
        raise NotThere
    decision = may_delete(writer=row.member_id, member=member, owner=owner)
    if not decision:
        raise Forbidden(decision.reason)
    await db.delete(row)
    await record(
        db,
        account=row.account_id,
        actor=f"member:{member}",
        action=Action.NOTE_DELETED,
        subject=f"session:{session}",
        facts={"note": note},
    )


async def count_notes(db: Db, *, session: UUID) -> int:
    return len((await db.scalars(select(Note.id).where(Note.session_id == session))).all())


async def hide_notes(db: Db, *, sessions: Collection[UUID], until: datetime | None = None) -> None:
    """From this commit on nobody reads notes of moments until then, or writes one. until None: until now, so that no
    note that was kept meanwhile is left out. Safe to run twice."""
    if sessions:
        then = until or await db.scalar(select(func.clock_timestamp()))
        before = Session.notes_gone_until.is_(None) | (Session.notes_gone_until < then)
        await db.execute(update(Session).where(Session.id.in_(sessions), before).values(notes_gone_until=then))


async def erase_notes(db: Db, *, session: Session, by: str) -> int:
    """All notes of a session go with it. by: as audit names it. Returns how many there were. Safe to run twice."""
    await db.refresh(session, with_for_update=True)
    every = (await db.scalars(select(Note.id).where(Note.session_id == session.id))).all()
    return await erase_these_notes(db, account=session.account_id, notes=every, by=by)


async def erase_these_notes(db: Db, *, account: UUID, notes: Collection[UUID], by: str) -> int:
    """Returns how many there were. Safe to run twice."""
    gone = Counter(await db.scalars(delete(Note).where(Note.id.in_(notes)).returning(Note.session_id)))
    for session, count in gone.items():
        subject = f"session:{session}"
        await record(db, account=account, actor=by, action=Action.NOTES_ERASED, subject=subject, facts={"notes": count})
    return gone.total()


async def erase_due_notes(db: Db, *, notes: Collection[UUID], now: datetime, by: str) -> int:
    """Of these notes, erase those whose date has come. Returns how many. Safe to run twice."""
    rows = await db.execute(
        select(Note, Session, Study)
        .join(Session, Session.id == Note.session_id)
        .join(Study, Study.id == Session.study_id)
        .where(Note.id.in_(notes))
        .with_for_update(of=Note, skip_locked=True)
    )
    due = [note for note, session, study in rows.tuples() if _past(note, session, study, now)]
    return await erase_these_notes(db, account=due[0].account_id, notes=[one.id for one in due], by=by) if due else 0


async def _erased(db: Db, session: UUID) -> bool:
    """Whether something was recorded and all of it is being or has been erased."""
    found = await db.execute(select(Recording.hidden_at, Recording.erased_at).where(Recording.session_id == session))
    gone = [hidden is not None or erased is not None for hidden, erased in found]
    return bool(gone) and all(gone)


def _past(note: Note, session: Session, study: Study, now: datetime) -> bool:
    days = shortest(study.retention_days, session.retention_days)
    until = note_until(note.at, session.ended_at, days, note.idle_until)
    return until is not None and now >= until
