"""Both sides of a session: what its participants agreed to, and whose words may be written down."""

from __future__ import annotations

from sqlalchemy import select

from app.database import Db
from app.participants.models import Consent, Participant
from app.sessions.models import Recording
from app.sessions.policy import may_write_down
from app.studies.models import ConsentKind, Study
from recordings.model import PersonId, SessionId


async def standing_consents(db: Db, *, session: SessionId) -> dict[PersonId, frozenset[ConsentKind]]:
    """What stands now, by participant: the last word on each kind counts."""
    latest = await db.execute(
        select(Consent.participant_id, Consent.kind, Consent.given)
        .distinct(Consent.participant_id, Consent.kind)
        .where(Consent.session_id == session, Consent.purpose == "research")
        .order_by(Consent.participant_id, Consent.kind, Consent.number.desc())
    )
    given: dict[PersonId, frozenset[ConsentKind]] = {}
    for participant, kind, stands in latest:
        if stands:
            person = PersonId(participant)
            given[person] = given.get(person, frozenset()) | {ConsentKind(kind)}
    return given


async def may_be_written_down(db: Db, recording: Recording, study: Study) -> bool:
    """Whether what is said in this recording may be transcribed now. The consents of somebody who was erased
    allow nothing any more."""
    consents = await standing_consents(db, session=SessionId(recording.session_id))
    here = await db.scalars(select(Participant.id).where(Participant.id.in_(consents), Participant.erased_at.is_(None)))
    standing = {PersonId(person): consents[PersonId(person)] for person in here}
    own = None if recording.person_is_member else standing.get(PersonId(recording.person_id), frozenset())
    kinds = [ConsentKind(kind) for kind in study.kinds]
    return may_write_down(study_kinds=kinds, own=own, participants=standing.values())
