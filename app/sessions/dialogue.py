"""Both sides of a session: whose words may be written down."""

from __future__ import annotations

from sqlalchemy import select

from app.database import Db
from app.participants.consents import entries_of_session
from app.participants.models import Participant
from app.participants.policy import standing
from app.sessions.models import Recording
from app.sessions.policy import may_write_down
from app.studies.models import ConsentKind, Study
from recordings.model import PersonId, SessionId


async def may_be_written_down(db: Db, recording: Recording, study: Study) -> bool:
    """Whether what is said in this recording may be transcribed now. The consents of somebody who was erased, or is
    being, allow nothing any more."""
    log = await entries_of_session(db, session=SessionId(recording.session_id))
    stays = Participant.erased_at.is_(None) & Participant.leaving_at.is_(None)
    here = await db.scalars(select(Participant.id).where(Participant.id.in_(log), stays))
    agreed = {PersonId(person): standing(log[PersonId(person)]) for person in here}
    own = None if recording.person_is_member else agreed.get(PersonId(recording.person_id), frozenset())
    kinds = [ConsentKind(kind) for kind in study.kinds]
    return may_write_down(study_kinds=kinds, own=own, participants=agreed.values())
