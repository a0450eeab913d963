"""Database rows of an erasure: hidden when it is asked for, closed when it is certified."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Update, delete, func, select, update
from sqlalchemy.sql.dml import Delete

from app.accounts.login import end_logins_of
from app.audit import SYSTEM
from app.database import Db
from app.invitations.models import Invitation
from app.jobs import enqueue
from app.library.models import LineCorrection
from app.mail.models import OutgoingMail
from app.mail.service import stop_waiting
from app.participants.models import AddressChange, DataCode, Participant
from app.privacy.erasing.scope import Plan
from app.privacy.records.models import DataRequest, RequestState
from app.sessions.disclosure_models import Disclosure
from app.sessions.models import Recording, RecordingState, Track, Transcript, TranscriptState
from app.sessions.notes import erase_these_notes, hide_notes
from app.sessions.response_models import Answer, Response, Supplement
from recordings.model import PersonId


async def hide(db: Db, plan: Plan, now: datetime) -> None:
    """From this commit on nothing of the plan is readable or growing, erased or not. Safe to run twice."""
    await db.execute(
        update(Recording).where(Recording.id.in_(plan.recordings), Recording.hidden_at.is_(None)).values(hidden_at=now)
    )
    await db.execute(update(Track).where(Track.id.in_(plan.tracks), Track.closed_at.is_(None)).values(closed_at=now))
    await db.execute(update(Transcript).where(Transcript.id.in_(plan.transcripts)).values(state=TranscriptState.ERASED))
    answers = Response.id.in_([*plan.responses, *plan.unshown_responses])
    await db.execute(update(Response).where(answers, Response.hidden_at.is_(None)).values(hidden_at=now))
    if plan.note_sessions and plan.asked_at is not None:
        await hide_notes(db, sessions=plan.note_sessions, until=plan.asked_at)
    if plan.leaving:
        goes = update(Participant).where(Participant.id == plan.person, Participant.leaving_at.is_(None))
        await db.execute(goes.values(leaving_at=now))
        held = Recording.id.in_(plan.held)  # kept, not shown; no more of it is captured
        await db.execute(update(Recording).where(held, Recording.hidden_at.is_(None)).values(hidden_at=now))
        await db.execute(
            update(Invitation)
            .where(Invitation.participant_id == plan.person, Invitation.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        await stop_waiting(db, person=plan.person)  # whoever asked to be forgotten is not invited once more
        await end_logins_of(db, person=plan.person)  # so that no stream is published after capture was stopped


async def close_rows(db: Db, plan: Plan, now: datetime) -> dict[str, int]:
    """Say of recordings, tracks, transcripts and responses that they are erased; what remains of a recording gets
    a new index. Returns how many of each the plan names, and how many answers and notes were deleted."""
    await db.execute(
        update(Recording)
        .where(Recording.id.in_(plan.recordings))
        .values(
            state=RecordingState.ERASED,
            erased_at=func.coalesce(Recording.erased_at, now),
            index_key=None,
            gaps=[],
            failure_reason=None,
            held_words=None,
        )
    )
    await db.execute(
        update(Track)
        .where(Track.id.in_(plan.tracks))
        .values(erased_at=func.coalesce(Track.erased_at, now), closed_at=func.coalesce(Track.closed_at, now))
    )
    await db.execute(
        update(Transcript)
        .where(Transcript.id.in_(plan.transcripts))
        .values(
            state=TranscriptState.ERASED,
            erased_at=func.coalesce(Transcript.erased_at, now),
            object_key=None,
            words=None,
            coverage=None,
            failure_reason=None,
        )
    )
    await db.execute(
        update(Response)
        .where(Response.id.in_(plan.responses))
        .values(erased_at=func.coalesce(Response.erased_at, now), hidden_at=func.coalesce(Response.hidden_at, now))
    )
    await db.execute(delete(LineCorrection).where(LineCorrection.transcript_id.in_(plan.transcripts)))
    answers = await _run(db, delete(Answer).where(Answer.response_id.in_(plan.responses)))
    added = Supplement.recording_id.in_(plan.recordings) | Supplement.response_id.in_(plan.responses)
    await db.execute(delete(Supplement).where(added))
    notes = await erase_these_notes(db, account=plan.account, notes=plan.notes, by=SYSTEM)
    await _reindex(db, plan)
    return {
        "recordings": len(plan.recordings),
        "tracks": len(plan.tracks),
        "transcripts": len(plan.transcripts),
        "answers": answers,
    } | ({"notes": notes} if plan.note_sessions else {})


async def close_person(db: Db, person: PersonId, now: datetime) -> dict[str, int]:
    """Contact data, mails, codes and sign-ins go; ids, dates and the consent log stay as proof, and so does
    the keyed hash of an address that unsubscribed."""
    closed = await db.execute(
        update(Participant)
        .where(Participant.id == person)
        .values(
            name=None,
            email=None,
            email_index=None,
            language=None,
            no_session_mails_at=None,
            erased_at=func.coalesce(Participant.erased_at, now),
        )
    )
    await db.execute(
        update(DataRequest)
        .where(DataRequest.participant_id == person, DataRequest.state != RequestState.REFUSED)
        .where(DataRequest.erasure_id.is_(None))  # those are done when their certificate says complete
        .values(state=RequestState.DONE, answered_at=func.coalesce(DataRequest.answered_at, now))
    )
    await db.execute(
        update(DataRequest).where(DataRequest.participant_id == person).values(words=None, answer=None, extension=None)
    )
    await db.execute(delete(Supplement).where(Supplement.participant_id == person))
    await db.execute(update(Disclosure).where(Disclosure.participant_id == person).values(words=None, untold=None))
    return {
        "contact": _count(closed),
        "mails": await _run(db, delete(OutgoingMail).where(OutgoingMail.person_id == person)),
        "codes": await _run(db, delete(DataCode).where(DataCode.participant_id == person))
        + await _run(db, delete(AddressChange).where(AddressChange.participant_id == person)),
        "invitations": await db.scalar(select(func.count()).where(Invitation.participant_id == person)) or 0,
    }


async def close_request(db: Db, erasure: UUID, now: datetime) -> None:
    """The request that asked for this erasure is answered by its certificate."""
    await db.execute(
        update(DataRequest)
        .where(DataRequest.erasure_id == erasure)
        .values(state=RequestState.DONE, answered_at=func.coalesce(DataRequest.answered_at, now))
    )


async def _reindex(db: Db, plan: Plan) -> None:
    """What is still being captured gets its index when that ends; everything else now."""
    rest = await db.execute(
        select(Recording)
        .where(
            Recording.id.in_(plan.reindex),
            Recording.state.not_in((RecordingState.CAPTURING, RecordingState.ERASED)),
        )
        .with_for_update()
    )
    for recording in rest.scalars():
        recording.state, recording.index_key = RecordingState.CAPTURED, None
        erased = f"erasure of:{plan.person}"
        await enqueue(db, "finalise", instruction=erased, account_id=recording.account_id, recording_id=recording.id)


async def _run(db: Db, statement: Update | Delete) -> int:
    return _count(await db.execute(statement))


def _count(result: Any) -> int:
    return int(result.rowcount)
