"""Withdraw a consent: write it down, close what was recorded of that kind, and ask for its erasure."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select

from app.database import Db, note
from app.ledger_entries import ConsentWithdrawn
from app.participants.consents import withdraw_consent
from app.participants.notice import Notice
from app.privacy.erasing.policy import TRANSCRIPT, kinds_withdrawn
from app.privacy.erasing.resting import nobody_left_in, with_notes
from app.privacy.erasing.service import ask_erasure, erase_uncovered_words
from app.privacy.records.models import Erasure, ErasureReason
from app.privacy.records.register import Noted
from app.sessions.models import Recording, Track, Transcript
from app.sessions.notes import hide_notes
from app.studies.models import ConsentKind
from recordings.model import AccountId, PersonId, SessionId


async def withdraw(
    db: Db,
    *,
    account: AccountId,
    participant: PersonId,
    session: SessionId,
    kind: ConsentKind,
    shown: Notice,
    noted: Noted | None = None,
) -> Erasure | None:
    """The erasure of what this session holds of the kind, or None when it holds nothing; with words go notes that may
    quote them, and members' own, once nobody is left for whose sake they stay (resting.py). The caller pushes the new
    permission to the media process once this is committed. noted: a member wrote it down for them. Safe to run
    twice."""
    by = noted.actor if noted else f"participant:{participant}"
    changed = await withdraw_consent(
        db, account=account, participant=participant, session=session, kind=kind, shown=shown, by=by
    )
    if not changed:
        return None
    at = await db.scalar(select(func.clock_timestamp()))  # as the log's own times: later than what was given before
    assert at is not None
    note(db, ConsentWithdrawn(at=at, account=account, person=participant, session=session, kind=kind))
    kinds = kinds_withdrawn(kind)
    mine = select(Recording.id).where(
        Recording.person_id == participant, Recording.session_id == session, Recording.erased_at.is_(None)
    )
    tracks = select(Track.recording_id).where(
        Track.recording_id.in_(mine), Track.kind.in_(kinds), Track.erased_at.is_(None)
    )
    words = select(Transcript.recording_id).where(Transcript.recording_id.in_(mine), Transcript.erased_at.is_(None))
    touched = set(await db.scalars(tracks)) | (set(await db.scalars(words)) if TRANSCRIPT in kinds else set())
    noted_in: list[UUID] = []
    if TRANSCRIPT in kinds:
        noted_in = await nobody_left_in(db, [session], participant)
        await hide_notes(db, sessions=noted_in)
        await erase_uncovered_words(db, account=account, sessions=[session], asked_by=by)
    if not touched and not await with_notes(db, noted_in):
        return None
    return await ask_erasure(
        db,
        account=account,
        person=participant,
        reason=ErasureReason.WITHDRAWAL,
        asked_by=by,
        instruction=f"consent to {kind} withdrawn",
        recordings=touched,
        kinds=kinds,
        noted=noted,
        note_sessions=noted_in,
    )
