"""Who of the team sees which sessions, done again from the ledger when the database was restored from before.

What gave somebody more counts only where it is known that it was committed (app.ledger.counts).
"""

from __future__ import annotations

from sqlalchemy import delete

from app.accounts.assignments import add_assignment
from app.accounts.models import Assignment, Member
from app.audit import SYSTEM, Action, record
from app.database import Db
from app.ledger_entries import Assigned, StudySeenBy
from app.sessions.models import Session
from app.studies.models import Study
from recordings.model import AccountId


async def limit_again(db: Db, entry: StudySeenBy) -> bool:
    row = await db.get(Study, entry.study, with_for_update=True)
    if row is None or row.assigned_only == entry.assigned_only:
        return False
    row.assigned_only = entry.assigned_only
    action = Action.STUDY_ASSIGNED_ONLY if entry.assigned_only else Action.STUDY_SEEN_BY_ALL
    await record(db, account=entry.account, actor=SYSTEM, action=action, subject=f"study:{row.id}")
    return True


async def assign_again(db: Db, entry: Assigned) -> bool:
    """Of a session or a member made after the backup nothing is left to do."""
    member = await db.get(Member, entry.member, with_for_update=True)
    if member is None or await db.get(Session, entry.session) is None:
        return False
    account = AccountId(entry.account)
    if entry.assigned:
        if member.removed_at is not None:
            return False
        changed = await add_assignment(db, account=account, session=entry.session, member=entry.member)
    else:
        this = Assignment.session_id == entry.session, Assignment.member_id == entry.member
        changed = await db.scalar(delete(Assignment).where(*this).returning(Assignment.id)) is not None
    if changed:
        action = Action.MEMBER_ASSIGNED if entry.assigned else Action.MEMBER_UNASSIGNED
        facts = {"member": entry.member}
        await record(db, account=account, actor=SYSTEM, action=action, subject=f"session:{entry.session}", facts=facts)
    return changed
