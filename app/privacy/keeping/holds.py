"""Verbs of a hold: it stops erasure, visibly everywhere, with its reason and until its review date.

What a hold is about is sealed under the person it concerns; only its kind of reason is shown to them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, func, or_, select

from app.accounts.service import member_names
from app.audit import Action, record
from app.database import Db, note, now_in
from app.decisions import ALLOWED, Decision, refused
from app.errors import Conflict, NotThere
from app.forms import Form
from app.ledger_entries import RecordingHeld
from app.privacy.erasing.erase_job import enqueue_erasure
from app.privacy.keeping.held_in_sql import held_at
from app.privacy.records.models import Erasure, ErasureState
from app.sealed_columns import SealedColumns
from app.sessions.models import HoldReason, Recording, RecordingState, Session
from app.sessions.policy import is_held
from app.sessions.service import recording_facts
from app.studies.models import Study
from recordings.model import AccountId, PersonId

WORDS_FIELD = "recording.held_words"
WORDS_LENGTH = 2_000
LONGEST = timedelta(days=366)
"""Then somebody must have looked at it again; it can be renewed."""
REVIEW_SOON = timedelta(days=14)


class CannotHold(Conflict):
    """This cannot be held."""


@dataclass(frozen=True, kw_only=True)
class HoldInput:
    """until: 0:00 UTC of the review date."""

    reason: HoldReason
    words: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class HoldLine:
    """One hold as the owner reads it. over: its review date has come, so it stops nothing any more."""

    recording: UUID
    session: UUID
    session_title: str
    study: str
    stream: str
    reason: str
    words: str
    until: datetime | None
    by: str
    soon: bool
    over: bool


def read_hold(form: Form, now: datetime) -> HoldInput | None:
    """None when something does not fit; the form then says what."""
    reason = form.choice("reason", HoldReason)
    words = form.text("words", length=WORDS_LENGTH)
    until = _review_date(form, now)
    return HoldInput(reason=HoldReason(reason), words=words, until=until) if form.fine and until else None


def may_hold(*, state: RecordingState, hidden: bool, held: bool) -> Decision:
    """May a hold be set, or renewed? hidden: its erasure was asked for, which a hold cannot take back; held: one
    stands, its review date not over."""
    if state is RecordingState.ERASED:
        return refused("This recording has been erased.")
    if hidden and not held:
        return refused("The erasure of this recording was asked for already; a hold cannot take that back.")
    return ALLOWED


async def set_hold(
    db: Db, columns: SealedColumns, recordings: Sequence[Recording], hold: HoldInput, *, by: PersonId
) -> None:
    """Set or renew. Raises CannotHold when there is nothing, or one of them cannot be held."""
    if not recordings:
        raise CannotHold("There is nothing here that a hold could keep.")
    now = await now_in(db)
    for row in recordings:
        facts = recording_facts(row, await db.get_one(Session, row.session_id))
        decision = may_hold(state=facts.state, hidden=facts.hidden_at is not None, held=is_held(facts, now))
        if not decision:
            raise CannotHold(decision.reason)
        row.held_reason, row.held_until, row.held_by = hold.reason, hold.until, by
        row.held_words = columns.seal(AccountId(row.account_id), PersonId(row.person_id), WORDS_FIELD, hold.words)
        note(
            db,
            RecordingHeld(
                at=now, account=row.account_id, recording=row.id, reason=str(hold.reason), until=hold.until, by=by
            ),
        )
        await record(
            db,
            account=row.account_id,
            actor=f"member:{by}",
            action=Action.RECORDING_HELD,
            subject=f"recording:{row.id}",
            facts={"reason": str(hold.reason), "until": hold.until.isoformat()},
        )


async def release(db: Db, recordings: Collection[Recording], *, by: PersonId) -> int:
    """Lift holds; erasures that waited for it go on at once. Returns how many were lifted. Safe to run twice."""
    held, now = [row for row in recordings if row.held_reason is not None], await now_in(db)
    for row in held:
        row.held_reason = row.held_until = row.held_words = row.held_by = None
        lifted = RecordingHeld(at=now, account=row.account_id, recording=row.id, reason=None, gives=True)
        note(db, lifted)
        await record(
            db,
            account=row.account_id,
            actor=f"member:{by}",
            action=Action.RECORDING_RELEASED,
            subject=f"recording:{row.id}",
        )
    await db.flush()
    people = {row.person_id for row in held}
    noted = Erasure.note_sessions.overlap(list({row.session_id for row in held}))  # whose notes it kept, too
    waiting = select(Erasure).where(Erasure.person_id.in_(people) | noted, Erasure.state == ErasureState.HELD)
    for erasure in await db.scalars(waiting):
        await enqueue_erasure(db, erasure)
    return len(held)


async def recordings_to_hold(db: Db, *, session: UUID) -> list[Recording]:
    """What of a session a hold can keep, locked: nothing whose erasure goes on."""
    found = select(Recording).where(
        Recording.session_id == session,
        Recording.state.not_in((RecordingState.ERASED, RecordingState.EMPTY)),
        or_(Recording.hidden_at.is_(None), held_at(await now_in(db))),
    )
    return list(await db.scalars(found.order_by(Recording.id).with_for_update()))


async def recording_to_hold(db: Db, recording: UUID) -> Recording:
    """Locked. Raises NotThere."""
    row = await db.get(Recording, recording, with_for_update=True)
    if row is None or row.erased_at is not None:
        raise NotThere
    return row


async def holds(db: Db, columns: SealedColumns, now: datetime, *, limit: int, offset: int) -> list[HoldLine]:
    """All holds, the next review date first."""
    rows = (
        await db.execute(
            select(Recording, Session, Study.title)
            .join(Session, Session.id == Recording.session_id)
            .join(Study, Study.id == Session.study_id)
            .where(Recording.held_reason.is_not(None), Recording.erased_at.is_(None))
            .order_by(Recording.held_until.nulls_last(), Recording.id)
            .limit(limit)
            .offset(offset)
        )
    ).all()
    names = await member_names(db, columns) if rows else {}
    return [
        HoldLine(
            recording=row.id,
            session=session.id,
            session_title=session.title,
            study=study,
            stream=row.stream,
            reason=row.held_reason or "",
            words=columns.open(AccountId(row.account_id), PersonId(row.person_id), WORDS_FIELD, row.held_words),
            until=row.held_until,
            by=names.get(PersonId(row.held_by), "") if row.held_by else "",
            soon=row.held_until is not None and row.held_until <= now + REVIEW_SOON,
            over=row.held_until is not None and row.held_until <= now,
        )
        for row, session, study in rows
    ]


def reviews_soon(now: ColumnElement[datetime]) -> ScalarSelect[int]:
    """How many holds are to be looked at again within two weeks."""
    return (
        select(func.count())
        .where(
            Recording.held_until <= now + REVIEW_SOON, Recording.held_reason.is_not(None), Recording.erased_at.is_(None)
        )
        .scalar_subquery()
    )


def _review_date(form: Form, now: datetime) -> datetime | None:
    typed = form.line("review", length=20)
    if "review" in form.errors:
        return None
    try:
        until = datetime.combine(datetime.strptime(typed, "%Y-%m-%d").date(), time(), UTC)
    except ValueError:
        form.errors["review"] = "Please enter a date, such as 2027-05-03."
        return None
    if until <= now:
        form.errors["review"] = "The review date lies in the past. Please choose a day to come."
    elif until > now + LONGEST:
        form.errors["review"] = "Please look at it again within a year; you can renew the hold then."
    return until
