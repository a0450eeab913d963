"""When another try cannot help or has not helped: what the job was for says so. Nothing fails silently."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from app.database import Db
from app.mail.models import MailState, OutgoingMail
from app.sessions.models import Recording, RecordingState, Transcript, TranscriptState
from app.wiring import Wiring
from recordings.model import AccountId

CRASHED = "The computer that worked on it failed again and again"


def reason_of(error: Exception, otherwise: str) -> str:
    """What a page may show: our own errors' messages hold no personal data, a surprise's may."""
    return str(error) if hasattr(error, "retry") else otherwise


async def give_up(wiring: Wiring, task: str, arguments: Mapping[str, object], reason: str) -> None:
    """No further try of this job will come. Safe to run twice."""
    fail = _FAIL.get(task)
    if fail is None:  # an erasure is taken up again by the sweep until it is complete
        return
    ids = {name: UUID(str(value)) for name, value in arguments.items()}
    account = AccountId(ids.pop("account_id"))
    async with wiring.database.transaction(account) as db:
        await fail(db, next(iter(ids.values())), reason)


async def _recording(db: Db, recording: UUID, reason: str) -> None:
    row = await db.get(Recording, recording, with_for_update=True)
    if row is not None and row.state == RecordingState.CAPTURED:
        row.state, row.failure_reason = RecordingState.FAILED, reason


async def _transcript(db: Db, transcript: UUID, reason: str) -> None:
    row = await db.get(Transcript, transcript, with_for_update=True)
    if row is not None and row.state in (TranscriptState.WAITING, TranscriptState.RUNNING):
        row.state, row.failure_reason = TranscriptState.FAILED, reason


async def _mail(db: Db, mail: UUID, reason: str) -> None:
    row = await db.get(OutgoingMail, mail, with_for_update=True)
    if row is not None and row.state in (MailState.WAITING, MailState.SENDING):
        row.state = MailState.FAILED


_FAIL: Mapping[str, Callable[[Db, UUID, str], Awaitable[None]]] = {
    "finalise": _recording,
    "transcribe": _transcript,
    "send_mail": _mail,
}
