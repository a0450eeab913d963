"""Members who have themselves recorded, so that the transcript has both sides: their own switch in each session."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.accounts.models import Member
from app.audit import Action, record
from app.database import Db
from app.sessions.models import MemberSwitch, SessionState
from app.sessions.policy import may_switch_self
from app.sessions.service import NotNow, find_session
from recordings.model import AccountId, PersonId


async def switch_self(db: Db, *, session: UUID, member: PersonId, recorded: bool) -> None:
    """What the member decides for this session, and what their next one begins with. Raises NotThere, NotNow.
    The caller pushes the new permission once this is committed. Safe to run twice."""
    row = await find_session(db, session)
    decision = may_switch_self(SessionState(row.state))
    if not decision:
        raise NotNow(decision.reason)
    person = await db.get_one(Member, member, with_for_update=True)  # two pages of one member: one after the other
    decided = await db.scalar(
        select(MemberSwitch.recorded).where(MemberSwitch.session_id == session, MemberSwitch.member_id == member)
    )
    before = person.records_self if decided is None else decided
    person.records_self = recorded
    await db.execute(
        insert(MemberSwitch)
        .values(_values(AccountId(row.account_id), session, member, recorded))
        .on_conflict_do_update(
            index_elements=[MemberSwitch.session_id, MemberSwitch.member_id],
            set_={"recorded": recorded, "at": func.clock_timestamp()},
            where=MemberSwitch.recorded != recorded,
        )
    )
    if before != recorded:
        await _say(db, AccountId(row.account_id), session, member, recorded, remembered=False)


async def join_as_before(db: Db, *, account: AccountId, session: UUID, member: PersonId) -> None:
    """A member who joins without having decided here is recorded or not as in their session before. From now on
    nothing they decide elsewhere changes it. Safe to run twice."""
    person = await db.get_one(Member, member)
    made = await db.scalar(
        insert(MemberSwitch)
        .values(_values(account, session, member, person.records_self))
        .on_conflict_do_nothing()
        .returning(MemberSwitch.recorded)
    )
    if made:
        await _say(db, account, session, member, True, remembered=True)


def _values(account: AccountId, session: UUID, member: PersonId, recorded: bool) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "account_id": account,
        "session_id": session,
        "member_id": member,
        "recorded": recorded,
        "at": func.clock_timestamp(),
    }


async def _say(
    db: Db, account: AccountId, session: UUID, member: PersonId, recorded: bool, *, remembered: bool
) -> None:
    await record(
        db,
        account=account,
        actor=f"member:{member}",
        action=Action.MEMBER_RECORDED if recorded else Action.MEMBER_NOT_RECORDED,
        subject=f"session:{session}",
        facts={"remembered": remembered},
    )
