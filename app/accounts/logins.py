"""Verbs of one's own logins: list them, end one, end all others (ASVS 5.0 V7.5.2, V7.4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select

from app.accounts.login import IDLE, SignedIn
from app.accounts.models import Login, Way
from app.audit import Action, record
from app.database import Db
from app.errors import NotThere


@dataclass(frozen=True, kw_only=True)
class LoginLine:
    """A signed-in browser as its member's page shows it. used_at: within minutes; here: this very one."""

    id: UUID
    since: datetime
    used_at: datetime
    way: Way | None
    here: bool


async def logins(db: Db, *, login: SignedIn) -> list[LoginLine]:
    """The member's own that still open pages, this browser first, then the last used. Which browser is not kept."""
    now = func.now()
    mine = select(Login).where(Login.member_id == login.as_member, Login.expires_at > now, Login.used_at > now - IDLE)
    rows = await db.scalars(mine.order_by((Login.id == login.login_id).desc(), Login.used_at.desc(), Login.id))
    return [
        LoginLine(
            id=row.id,
            since=row.created_at,
            used_at=row.used_at,
            way=Way(row.way) if row.way else None,
            here=row.id == login.login_id,
        )
        for row in rows
    ]


async def end_other(db: Db, *, login: SignedIn, other: UUID) -> None:
    """That browser is signed out with its next request. Raises NotThere, for somebody else's too."""
    if not await _end(db, login, Login.id == other):
        raise NotThere


async def end_others(db: Db, *, login: SignedIn) -> None:
    """Every browser but this one is signed out. Safe to run twice."""
    await _end(db, login, Login.id != login.login_id)


async def _end(db: Db, login: SignedIn, which: ColumnElement[bool]) -> list[UUID]:
    mine = delete(Login).where(Login.member_id == login.as_member, Login.id != login.login_id, which)
    ended = list(await db.scalars(mine.returning(Login.id)))
    for one in ended:
        subject = f"login:{one}"
        await record(db, account=login.account, actor=login.actor, action=Action.SIGNED_OUT, subject=subject)
    return ended
