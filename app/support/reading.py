"""Reading under a grant. The database lets an operator into the account only while the grant lasts (support_grant in
doors.sql), with the account's own rights; then everything but recordings is closed for the rest of the transaction
(junier.support in rights.sql), and of recordings only the one object is looked for."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text

from app.audit import Action, record
from app.database import Database, Db, door, now_in, set_account
from app.errors import NotThere
from app.sealed_columns import PLATFORM
from app.sessions.models import Recording
from app.support.login import SignedInOperator
from app.support.models import ObjectKind, OperatorLogin, SupportRequest
from app.support.telling import tell_of_reading
from app.wiring import Wiring

SAME_READING = timedelta(minutes=1)
"""A player asks for one film in many ranges: within a minute they are one line of the log."""


class NoGrant(NotThere):
    """There is no such grant of yours, or it is over."""


async def enter(db: Db, operator: SignedInOperator, grant: UUID) -> SupportRequest:
    """The grant, while it lasts; its account is set. Raises NoGrant for every other one, whatever the reason."""
    found = await door(db, "support_grant", request=grant, operator=operator.operator)
    if found is None:
        raise NoGrant
    await set_account(db, found.account_id)
    return await db.get_one(SupportRequest, grant)


async def note_reading(
    db: Db, wiring: Wiring, operator: SignedInOperator, grant: SupportRequest, *, subject: str, what: str
) -> None:
    """Into the account's log, and to the owners by mail the first time; from here on the transaction sees recordings
    and nothing else of the account. Counts once it is committed; the caller commits before a byte is sent.
    what: "page", "media" or "transcript"."""
    facts: dict[str, UUID | str] = {"grant": grant.id, "login": operator.login_id, "what": what}
    await record(
        db,
        account=grant.account_id,
        actor=operator.actor,
        action=Action.SUPPORT_READ,
        subject=subject,
        facts=facts,
        once_within=SAME_READING,
    )
    if grant.used_at is None:
        grant.used_at = await now_in(db)
        await tell_of_reading(db, wiring, grant, operator_name=operator.name)
    await db.flush()
    await db.execute(text("SELECT set_config('junier.support', :grant, true)"), {"grant": str(grant.id)})


async def recordings_of(db: Db, grant: SupportRequest) -> list[Recording]:
    """The recordings that the grant opens, in the order they began."""
    if grant.object_kind == ObjectKind.RECORDING:
        of_object = Recording.id == grant.object_id
    else:
        of_object = Recording.session_id == grant.object_id
    return list(await db.scalars(select(Recording).where(of_object).order_by(Recording.created_at, Recording.id)))


async def granted(db: Db, grant: SupportRequest, recording: UUID) -> Recording:
    """The recording, if the grant opens it. Raises NotThere for every other."""
    for row in await recordings_of(db, grant):
        if row.id == recording:
            return row
    raise NotThere


async def lasts(database: Database, operator: SignedInOperator, grant: UUID) -> bool:
    """Whether the grant still opens anything and they are still signed in, by the database's clock now."""
    async with database.transaction(PLATFORM) as db:
        mine = OperatorLogin.id == operator.login_id, OperatorLogin.expires_at > func.now()
        if await db.scalar(select(OperatorLogin.id).where(*mine)) is None:
            return False
        return await door(db, "support_grant", request=grant, operator=operator.operator) is not None
