"""What a participant adds to something incomplete (GDPR Art. 16, second sentence): a statement of their own that stands
beside a recording or answers, and changes neither. It is read by whoever may read those, and goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.audit import Action, record
from app.database import Db
from app.errors import NotThere
from app.sealed_columns import SealedColumns
from app.sessions.models import Recording
from app.sessions.response_models import Response, Supplement
from recordings.model import AccountId, PersonId

TEXT_FIELD = "supplement.text"
LENGTH = 10_000


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One supplement, opened. about: the recording, or the response."""

    id: UUID
    about: UUID
    participant: PersonId
    words: str
    at: datetime
    to_answers: bool


async def add_supplement(
    db: Db, columns: SealedColumns, *, account: AccountId, participant: PersonId, about: UUID, words: str
) -> Supplement:
    """To a recording or response of their own that still stands. Raises NotThere."""
    recording = await db.get(Recording, about)
    response = await db.get(Response, about) if recording is None else None
    found = recording or response
    owner = recording.person_id if recording else response.participant_id if response else None
    if found is None or owner != participant or found.erased_at is not None or found.hidden_at is not None:
        raise NotThere
    row = Supplement(
        account_id=account,
        session_id=found.session_id,
        participant_id=participant,
        recording_id=recording.id if recording else None,
        response_id=response.id if response else None,
        text=columns.seal(account, participant, TEXT_FIELD, words),
    )
    db.add(row)
    await db.flush()
    await _say(db, row, Action.SUPPLEMENT_WRITTEN)
    return row


async def take_back_supplement(db: Db, *, participant: PersonId, supplement: UUID) -> None:
    """Their own. Raises NotThere for anybody else's."""
    row = await db.get(Supplement, supplement, with_for_update=True)
    if row is None or row.participant_id != participant:
        raise NotThere
    await _say(db, row, Action.SUPPLEMENT_TAKEN_BACK)
    await db.delete(row)


async def supplements_by(db: Db, columns: SealedColumns, *, participant: PersonId) -> list[Statement]:
    """Of one participant, oldest first."""
    return await _statements(db, columns, Supplement.participant_id == participant)


async def supplements_to(db: Db, columns: SealedColumns, *, session: UUID) -> dict[UUID, list[Statement]]:
    """By recording or response, oldest first. Whoever shows them asks first whether that may be read."""
    found: dict[UUID, list[Statement]] = {}
    for one in await _statements(db, columns, Supplement.session_id == session):
        found.setdefault(one.about, []).append(one)
    return found


async def supplements_to_answers(db: Db, columns: SealedColumns, *, session: UUID) -> dict[PersonId, list[Statement]]:
    """By participant, who answers once after a session."""
    found: dict[PersonId, list[Statement]] = {}
    for statements in (await supplements_to(db, columns, session=session)).values():
        for one in statements:
            if one.to_answers:
                found.setdefault(one.participant, []).append(one)
    return found


async def _statements(db: Db, columns: SealedColumns, where: ColumnElement[bool]) -> list[Statement]:
    rows = await db.scalars(select(Supplement).where(where).order_by(Supplement.at, Supplement.id))
    return [
        Statement(
            id=row.id,
            about=about,
            participant=PersonId(row.participant_id),
            words=columns.open(AccountId(row.account_id), PersonId(row.participant_id), TEXT_FIELD, row.text),
            at=row.at,
            to_answers=row.response_id is not None,
        )
        for row in rows
        if (about := row.recording_id or row.response_id) is not None
    ]


async def _say(db: Db, row: Supplement, action: Action) -> None:
    actor = f"participant:{row.participant_id}"
    await record(db, account=row.account_id, actor=actor, action=action, subject=f"session:{row.session_id}")
