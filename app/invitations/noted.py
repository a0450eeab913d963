"""Whom the notes of a session are about: everybody who took part. While one of them asked that nothing of theirs is
used, nobody reads the notes (GDPR Art. 18)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, union

from app.database import Db
from app.invitations.models import Invitation
from app.language import N_
from app.participants.models import Participant
from app.sealed_columns import SealedColumns
from app.sessions.models import Recording, Session
from app.sessions.notes import NoteLine, notes_of_session
from app.sessions.response_models import Response
from app.studies.models import Study

KEPT_BACK = N_("Kept and not shown: somebody who took part asked that nothing about them is used for now.")


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Notes as they may be read. why: they are not, marked for translation."""

    lines: tuple[NoteLine, ...] = ()
    why: str = ""


async def took_part(db: Db, sessions: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    """(session, participant): let into the room, recorded, or having answered afterwards."""
    parts = (
        select(Invitation.session_id, Invitation.participant_id).where(Invitation.admitted_at.is_not(None)),
        select(Recording.session_id, Recording.person_id).where(~Recording.person_is_member),
        select(Response.session_id, Response.participant_id),
    )
    every = union(*(part.where(part.selected_columns.session_id.in_(sessions)) for part in parts))
    return {(session, person) for session, person in await db.execute(every)}


async def notes_shown(db: Db, columns: SealedColumns, *, session: Session, study: Study) -> Noted:
    """What pages and files show of a session's notes."""
    people = {person for _, person in await took_part(db, [session.id])}
    asked = Participant.restricted_at.is_not(None) & Participant.erased_at.is_(None)
    if await db.scalar(select(Participant.id).where(Participant.id.in_(people), asked).limit(1)) is not None:
        return Noted(why=KEPT_BACK)
    return Noted(lines=tuple(await notes_of_session(db, columns, session=session, study=study)))
