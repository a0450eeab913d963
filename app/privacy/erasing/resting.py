"""What rests on those who took part in a session, beside what they left themselves: notes about them, and what members
said to them, written down. It goes with the last of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import exists, select

from app.database import Db
from app.invitations.models import Invitation
from app.invitations.noted import took_part
from app.participants.models import Consent, ConsentPurpose, Participant
from app.privacy.erasing.policy import QUOTED, stays_noted
from app.sessions.dialogue import may_be_written_down
from app.sessions.models import Note, Recording, Session, Transcript, TranscriptState
from app.studies.models import ConsentKind, Study
from recordings.model import PersonId


async def sessions_of(db: Db, participant: PersonId) -> set[UUID]:
    """Where they were invited or recorded."""
    invited = select(Invitation.session_id).where(Invitation.participant_id == participant)
    recorded = select(Recording.session_id).where(Recording.person_id == participant)
    return {*await db.scalars(invited), *await db.scalars(recorded)}


async def nobody_left_in(db: Db, sessions: Collection[UUID], participant: PersonId) -> list[UUID]:
    """Of these sessions, those whose notes nobody keeps any more, now that this participant goes or took something
    back. Where others took part and this one did not, nothing has changed. Locked, so that of two who go at the same
    moment the second one sees that the first is gone, and no note is written meanwhile."""
    locked = select(Session.id).where(Session.id.in_(sessions)).order_by(Session.id)
    here = (await db.scalars(locked.with_for_update(key_share=True))).all()
    people = await took_part(db, here)
    stay = select(Participant.id).where(Participant.id.in_({person for _, person in people}))
    stay = stay.where(Participant.erased_at.is_(None), Participant.leaving_at.is_(None))
    staying, said = set(await db.scalars(stay)), await _last_words(db, here)
    kept = {
        session
        for session, person in people
        if stays_noted(leaving=person not in staying, last_words=said.get((session, person), {}))
    }
    others = {session for session, _ in people} - {session for session, person in people if person == participant}
    return [one for one in here if one not in kept and one not in others]


async def with_notes(db: Db, sessions: Collection[UUID]) -> bool:
    """Is there a note in any of them?"""
    return await db.scalar(select(Note.id).where(Note.session_id.in_(sessions)).limit(1)) is not None


async def uncovered_words(db: Db, sessions: Collection[UUID]) -> Mapping[PersonId, list[UUID]]:
    """By member, recordings in these sessions with words that nobody's consent allows any more."""
    written = exists().where(Transcript.recording_id == Recording.id, Transcript.state != TranscriptState.ERASED)
    rows = await db.execute(
        select(Recording, Study)
        .join(Session, Session.id == Recording.session_id)
        .join(Study, Study.id == Session.study_id)
        .where(Recording.session_id.in_(sessions), Recording.person_is_member, Recording.erased_at.is_(None), written)
        .order_by(Recording.person_id, Recording.id)
    )
    found: dict[PersonId, list[UUID]] = defaultdict(list)
    for recording, study in rows.tuples():
        if not await may_be_written_down(db, recording, study):
            found[PersonId(recording.person_id)].append(recording.id)
    return found


async def _last_words(db: Db, sessions: Collection[UUID]) -> dict[tuple[UUID, UUID], dict[ConsentKind, bool]]:
    """(session, participant) -> kind -> what they said last of it."""
    latest = await db.scalars(
        select(Consent)
        .distinct(Consent.session_id, Consent.participant_id, Consent.kind)
        .where(Consent.session_id.in_(sessions), Consent.purpose == ConsentPurpose.RESEARCH, Consent.kind.in_(QUOTED))
        .order_by(Consent.session_id, Consent.participant_id, Consent.kind, Consent.number.desc())
    )
    said: dict[tuple[UUID, UUID], dict[ConsentKind, bool]] = defaultdict(dict)
    for one in latest:
        said[one.session_id, one.participant_id][ConsentKind(one.kind)] = one.given
    return said
