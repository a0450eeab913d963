"""What one request covers: each recording and each session's answers, so that some of it can be granted and some
refused, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.language import N_
from app.privacy.records.grounds import WORDS, Ground
from app.privacy.records.models import DataRequest, RequestItem
from app.sessions.models import Recording, RecordingState, Session
from app.sessions.response_models import Response

SORTS = {"camera": N_("camera and microphone"), "screen": N_("screen"), "answers": N_("answers")}


@dataclass(frozen=True, kw_only=True)
class Item:
    """sort: a key of SORTS; title: of its session."""

    id: UUID
    sort: str
    title: str

    @property
    def words(self) -> str:
        return SORTS[self.sort]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one item. ground: why it was refused; None: granted."""

    item: Item
    ground: Ground | None

    @property
    def why(self) -> str:
        """Marked for translation; "" when granted."""
        return WORDS[self.ground] if self.ground else ""


async def items_of(db: Db, participant: UUID) -> list[Item]:
    """All of theirs that stands, session by session."""
    recordings = await db.execute(
        select(Recording.id, Recording.stream, Session.title)
        .join(Session, Session.id == Recording.session_id)
        .where(
            Recording.person_id == participant,
            Recording.erased_at.is_(None),
            Recording.hidden_at.is_(None),
            Recording.state != RecordingState.EMPTY,
        )
        .order_by(Session.created_at, Recording.created_at)
    )
    answers = await db.execute(
        select(Response.id, Session.title)
        .join(Session, Session.id == Response.session_id)
        .where(Response.participant_id == participant, Response.erased_at.is_(None), Response.hidden_at.is_(None))
        .order_by(Session.created_at)
    )
    found = [
        Item(id=row.id, sort="screen" if row.stream == "screen" else "camera", title=row.title) for row in recordings
    ]
    return found + [Item(id=row.id, sort="answers", title=row.title) for row in answers]


def note_outcomes(db: Db, request: DataRequest, outcomes: Iterable[Outcome]) -> None:
    for one in outcomes:
        db.add(
            RequestItem(
                account_id=request.account_id,
                request_id=request.id,
                sort=one.item.sort,
                item_id=one.item.id,
                ground=one.ground,
            )
        )


async def outcomes_of(db: Db, requests: Sequence[UUID]) -> dict[UUID, list[Outcome]]:
    """By request; titles of sessions as they are called now."""
    rows = list(await db.scalars(select(RequestItem).where(RequestItem.request_id.in_(requests))))
    titles = await _titles(db, [row.item_id for row in rows])
    found: dict[UUID, list[Outcome]] = {}
    for row in sorted(rows, key=lambda row: (titles.get(row.item_id, ""), row.sort, str(row.item_id))):
        item = Item(id=row.item_id, sort=row.sort, title=titles.get(row.item_id, ""))
        ground = Ground(row.ground) if row.ground else None
        found.setdefault(row.request_id, []).append(Outcome(item=item, ground=ground))
    return found


async def refused_items(db: Db, request: UUID) -> set[UUID]:
    found = select(RequestItem.item_id).where(RequestItem.request_id == request, RequestItem.ground.is_not(None))
    return set(await db.scalars(found))


async def _titles(db: Db, items: Sequence[UUID]) -> Mapping[UUID, str]:
    if not items:
        return {}
    titles: dict[UUID, str] = {}
    for model in (Recording, Response):
        query = select(model.id, Session.title).join(Session, Session.id == model.session_id)
        titles |= {row.id: row.title for row in await db.execute(query.where(model.id.in_(items)))}
    return titles
