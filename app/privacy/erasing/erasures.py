"""The list of erasures as an owner reads it: what is unfinished first, then the newest; names in one query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import case, select

from app.accounts.service import member_names
from app.database import Db
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.privacy.records.models import Certificate, Erasure, ErasureState
from app.sealed_columns import SealedColumns
from recordings.model import AccountId, PersonId

_ATTENTION = (ErasureState.PARTIAL, ErasureState.HELD)


@dataclass(frozen=True, kw_only=True)
class ErasureLine:
    """asked_by: in words; reasons: what could not be verified, by the newest certificate; objects and keys: how many
    were destroyed."""

    row: Erasure
    name: str
    asked_by: str
    certified: bool
    objects: int
    keys: int
    bytes: int
    reasons: tuple[str, ...]


async def erasures(db: Db, columns: SealedColumns, *, limit: int, offset: int) -> list[ErasureLine]:
    """Partial and held ones first, then by the moment they were asked for, newest first."""
    rows = list(
        await db.scalars(
            select(Erasure)
            .order_by(case((Erasure.state.in_(_ATTENTION), 0), else_=1), Erasure.asked_at.desc(), Erasure.id)
            .limit(limit)
            .offset(offset)
        )
    )
    papers = await _newest(db, [row.id for row in rows])
    names = await participant_names(db, columns, {row.person_id for row in rows})
    members = await member_names(db, columns) if rows else {}
    return [_line(row, papers.get(row.id), names, members) for row in rows]


async def participant_names(db: Db, columns: SealedColumns, people: Collection[UUID]) -> dict[UUID, str]:
    """First names of those not erased."""
    if not people:
        return {}
    found = await db.scalars(select(Participant).where(Participant.id.in_(people), Participant.name.is_not(None)))
    return {row.id: columns.open(AccountId(row.account_id), PersonId(row.id), NAME_FIELD, row.name) for row in found}


def _line(
    row: Erasure, paper: Certificate | None, names: Mapping[UUID, str], members: Mapping[PersonId, str]
) -> ErasureLine:
    erased = paper.document["erased"] if paper else {}
    return ErasureLine(
        row=row,
        name=names.get(row.person_id) or members.get(PersonId(row.person_id), ""),
        asked_by=_who(row.asked_by, members),
        certified=paper is not None,
        objects=erased.get("objects", 0),
        keys=erased.get("keys", 0),
        bytes=erased.get("bytes", 0),
        reasons=tuple(paper.document["not_verified"]) if paper else (),
    )


def _who(asked_by: str, members: Mapping[PersonId, str]) -> str:
    kind, _, person = asked_by.partition(":")
    if kind == "member":
        return members.get(PersonId(UUID(person)), "") or "a former member"
    return "the participant" if kind == "participant" else "the date"


async def _newest(db: Db, erasures: Collection[UUID]) -> dict[UUID, Certificate]:
    found = await db.scalars(
        select(Certificate)
        .distinct(Certificate.erasure_id)
        .where(Certificate.erasure_id.in_(erasures))
        .order_by(Certificate.erasure_id, Certificate.issued_at.desc())
    )
    return {paper.erasure_id: paper for paper in found}
