"""The owners hear a week before something goes by its date, in one mail a day, and how to keep it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.privacy.rights.telling import tell_owners
from app.sessions.models import Recording, Session
from app.sessions.parts import held_parts, parts_due
from app.sessions.policy import due
from app.sessions.service import recording_facts
from app.studies.models import Study
from app.wiring import Wiring
from recordings.model import AccountId

REMIND_BEFORE = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class GoingSoon:
    """A session as the digest names it."""

    id: UUID
    title: str
    study: str
    recordings: int
    at: datetime


async def remind(db: Db, wiring: Wiring, *, account: AccountId, recordings: Collection[UUID], now: datetime) -> int:
    """Tell the owners of these recordings, as far as they go within REMIND_BEFORE and were not announced for that
    date; what is found after today's mail waits for tomorrow's. Returns how many were announced. Safe to run twice."""
    rows = await db.execute(
        select(Recording, Session, Study)
        .join(Session, Session.id == Recording.session_id)
        .join(Study, Study.id == Session.study_id)
        .where(Recording.id.in_(recordings))
        .order_by(Recording.id)
        .with_for_update(of=Recording, skip_locked=True)
    )
    soon: list[tuple[Recording, Session, Study, datetime]] = []
    held = await held_parts(db, recordings)
    for recording, session, study in rows.all():
        dates = parts_due(recording, session, study, held.get(recording.id, ()), now)
        whole = due(recording_facts(recording, session), study.retention_days, now)
        until = min((at for at in (whole, *dates.values()) if at is not None and at > now), default=None)
        if until is not None and now < until <= now + REMIND_BEFORE and recording.announced_for != until:
            soon.append((recording, session, study, until))
    if not soon:
        return 0
    told = await tell_owners(
        db,
        wiring,
        account=account,
        template="retention_reminder",
        key=f"retention-{now.astimezone(UTC):%Y-%m-%d}",
        context={"sessions": _by_session(soon), "recordings": len(soon)},
    )
    if not told:
        return 0
    for recording, _, _, until in soon:
        recording.announced_for = until
    return len(soon)


def _by_session(soon: Collection[tuple[Recording, Session, Study, datetime]]) -> list[GoingSoon]:
    """The first to go first."""
    first: dict[UUID, GoingSoon] = {}
    for _, session, study, until in soon:
        known = first.get(session.id)
        first[session.id] = GoingSoon(
            id=session.id,
            title=session.title,
            study=study.title,
            recordings=(known.recordings if known else 0) + 1,
            at=min(until, known.at) if known else until,
        )
    return sorted(first.values(), key=lambda one: one.at)
