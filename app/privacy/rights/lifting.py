"""A restriction ends when the participant has been told, not before (GDPR Art. 18(3))."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, true, update

from app.audit import SYSTEM, Action, record
from app.database import Db
from app.jobs import enqueue
from app.mail.models import MailState, OutgoingMail
from app.participants.models import Participant
from app.privacy.records.models import DataRequest, RequestOutcome, RequestState
from app.privacy.rights.items import refused_items
from app.privacy.rights.requests import RESTRICTING, UNANSWERED
from app.sessions.models import Recording, Transcript, TranscriptState
from app.sessions.response_models import Response


async def lift_when_told(db: Db, request: UUID) -> bool:
    """True when it was lifted now, as a whole or for what was refused of an objection; the rest of that stays in
    force. A mail that could not be sent leaves all of it in force, for the owner to see and to tell otherwise.
    Safe to run twice."""
    of = await db.scalar(select(DataRequest.participant_id).where(DataRequest.id == request))
    person = await db.get(Participant, of, with_for_update=True)  # not while they ask again or a recording begins
    row = await db.get(DataRequest, request, with_for_update=True)
    if person is None or row is None or row.state != RequestState.LIFTING:
        return False
    mail = await db.get(OutgoingMail, row.mail_id) if row.mail_id else None
    if mail is None or mail.state in (MailState.FAILED, MailState.SUPPRESSED, MailState.NOT_SENT):
        row.state = RequestState.IN_FORCE
        return False
    if mail.state != MailState.SENT:
        return False
    partly = row.outcome == RequestOutcome.PARTLY
    row.state = RequestState.IN_FORCE if partly else RequestState.DONE
    await db.flush()
    if await _another_stands(db, row):
        return True
    free = await refused_items(db, row.id) if partly else None
    if not partly:
        person.restricted_at = None
    answers = Response.id.in_(free) if free is not None else true()
    recordings = Recording.id.in_(free) if free is not None else true()
    await db.execute(
        update(Response).where(Response.participant_id == row.participant_id, answers).values(restricted_at=None)
    )
    lifted = (
        await db.scalars(
            update(Recording)
            .where(
                Recording.person_id == row.participant_id,
                Recording.restricted_at.is_not(None),
                recordings,
            )
            .values(restricted_at=None)
            .returning(Recording.id)
        )
    ).all()
    waiting = select(Transcript).where(Transcript.recording_id.in_(lifted), Transcript.state == TranscriptState.WAITING)
    for transcript in (await db.scalars(waiting)).all():  # its job came while it was restricted, and went
        await enqueue(
            db,
            "transcribe",
            instruction=f"request:{row.id}",
            key=f"transcribe-{transcript.id}",
            account_id=row.account_id,
            transcript_id=transcript.id,
        )
    for recording in lifted:
        subject = f"recording:{recording}"
        await record(db, account=row.account_id, actor=SYSTEM, action=Action.RECORDING_UNRESTRICTED, subject=subject)
    return True


async def _another_stands(db: Db, row: DataRequest) -> bool:
    other = select(DataRequest.id).where(
        DataRequest.participant_id == row.participant_id,
        DataRequest.id != row.id,
        DataRequest.kind.in_(RESTRICTING),
        DataRequest.state.in_(UNANSWERED),
    )
    return await db.scalar(other.limit(1)) is not None
