"""Who of the team is assigned to a session: in a study that is seen by those assigned alone, nobody but they and the
owners sees it (policy.sees_session)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.accounts.models import Assignment, Member, Role
from app.accounts.service import NAME_FIELD
from app.audit import Action, record
from app.database import Db, note, now_in
from app.errors import NotThere
from app.ledger_entries import Assigned
from app.sealed_columns import SealedColumns
from recordings.model import AccountId, PersonId


@dataclass(frozen=True, kw_only=True)
class TeamMember:
    """A researcher or observer, and whether they are assigned to the session at hand."""

    id: PersonId
    name: str
    role: Role
    assigned: bool


def seen_by(session: Any, study: Any) -> ColumnElement[bool]:
    """policy.sees_session as a condition on rows of Member. session, study: ids or columns of them."""
    return (Member.role == Role.OWNER) | func.seen_by(Member.id, session, study).is_not(None)


async def team_of(db: Db, columns: SealedColumns, session: UUID) -> list[TeamMember]:
    """Everybody who can be assigned, in the order of joining; owners see every session anyway."""
    found = await db.execute(
        select(Member, Assignment.id)
        .outerjoin(Assignment, (Assignment.member_id == Member.id) & (Assignment.session_id == session))
        .where(Member.removed_at.is_(None), Member.role != Role.OWNER)
        .order_by(Member.created_at, Member.id)
    )
    return [
        TeamMember(
            id=PersonId(row.id),
            name=columns.open(AccountId(row.account_id), PersonId(row.id), NAME_FIELD, row.name),
            role=Role(row.role),
            assigned=assignment is not None,
        )
        for row, assignment in found.tuples()
    ]


async def assign(db: Db, *, account: AccountId, session: UUID, member: UUID, by: str) -> None:
    """From the next request on they see this session. Safe to run twice. The caller has checked that `by` sees the
    session. Raises NotThere for whoever is no member."""
    row = await db.get(Member, member, with_for_update=True, populate_existing=True)
    if row is None or row.removed_at is not None:
        raise NotThere
    if await add_assignment(db, account=account, session=session, member=member):
        note(
            db,
            Assigned(at=await now_in(db), account=account, session=session, member=member, assigned=True, gives=True),
        )
        await _record(db, account, session, member, Action.MEMBER_ASSIGNED, by)


async def add_assignment(db: Db, *, account: AccountId, session: UUID, member: UUID) -> bool:
    """The row alone, which is where assigning is part of something that is logged. Returns whether it is new."""
    added = insert(Assignment).values(id=uuid4(), account_id=account, session_id=session, member_id=member)
    nothing_new = added.on_conflict_do_nothing(index_elements=[Assignment.session_id, Assignment.member_id])
    return await db.scalar(nothing_new.returning(Assignment.id)) is not None


async def unassign(db: Db, *, account: AccountId, session: UUID, member: UUID, by: str) -> None:
    """From the next request on the session is not there for them; what they follow of it ends. Safe to run twice."""
    await db.get(Member, member, with_for_update=True, populate_existing=True)
    gone = delete(Assignment).where(Assignment.session_id == session, Assignment.member_id == member)
    if await db.scalar(gone.returning(Assignment.id)) is not None:
        note(db, Assigned(at=await now_in(db), account=account, session=session, member=member, assigned=False))
        await _record(db, account, session, member, Action.MEMBER_UNASSIGNED, by)


async def _record(db: Db, account: AccountId, session: UUID, member: UUID, action: Action, by: str) -> None:
    subject = f"session:{session}"
    await record(db, account=account, actor=by, action=action, subject=subject, facts={"member": member})
