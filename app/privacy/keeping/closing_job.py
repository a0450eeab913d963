"""The job that closes an account: thousands of erasures begin here, not in somebody's click. Each run does what can be
done now; the sweep begins the next one as long as something is left."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from app.accounts.models import Account
from app.database import Db
from app.invitations.session_mail_policy import SessionMail
from app.invitations.session_mails import tell_participants
from app.logs import place_of
from app.privacy.erasing.account_papers import closed_path, newest_paper
from app.privacy.keeping.closing import close_on_its_day, enqueue_closing
from app.privacy.keeping.closing_end import destroy_account
from app.privacy.keeping.closing_mail import tell_of_closing
from app.privacy.keeping.closing_paper import issue, unfinished
from app.privacy.keeping.closing_steps import (
    Left,
    Step,
    ask_for_people,
    closing_account,
    end_sessions,
    erase_all_notes,
    left_of,
    members_to_remove,
    next_step,
    remove_members,
    still_recorded,
)
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.wiring import Wiring
from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId, PersonId

RESTING = frozenset({Step.NEWS, Step.WAIT, Step.MAILS})
"""Steps in which others work, the mails' and the erasures' jobs; the sweep looks again."""
AT_ONCE = 500

log = logging.getLogger("junier.privacy")


async def take_up_closings(wiring: Wiring, now: datetime) -> int:
    """Begin the job of every account whose day has come and in which it can do something. Returns how many. Raises
    ExceptionGroup when one could not be looked at, after all others were."""
    async with wiring.database.transaction() as db:
        found = await db.execute(text("SELECT * FROM closing_accounts(:now, :limit)"), {"now": now, "limit": AT_ONCE})
        accounts = [AccountId(account) for (account,) in found]
    begun, troubles = 0, []
    for account in accounts:
        try:
            async with wiring.database.transaction(account) as db:
                row = await closing_account(db)
                if row.closed_at is None:
                    await close_on_its_day(db, wiring, row)
                elif row.gone_at is None and await _can_go_on(db, wiring, row):
                    begun += await enqueue_closing(db, account)
        except Exception as trouble:  # one account's trouble keeps no other from its day
            log.error("an account could not be closed: %s at %s", type(trouble).__name__, place_of(trouble))
            troubles.append(trouble)
    if troubles:
        raise ExceptionGroup("Some accounts could not be closed", troubles)
    return begun


async def run_closing(wiring: Wiring, account: AccountId, *, nodes: NodeClient) -> None:
    """All that can be done now. Safe to run twice, beside itself and after a crash at any step."""
    before: Left | None = None
    while True:
        async with wiring.database.transaction(account) as db:
            row = await closing_account(db)
            if row.closed_at is None or row.gone_at is not None:
                return
            left, by = await _left(db, wiring, account), row.closing_asked_by or ""
        step = next_step(left)
        if left == before or step in RESTING:
            return
        before = left
        await _take(step, wiring, account, by, nodes)


async def _take(step: Step, wiring: Wiring, account: AccountId, by: str, nodes: NodeClient) -> None:
    """One portion of a step."""
    if step is Step.MEMBERS:
        return await _remove_members(wiring, account, by)
    if step is Step.DESTROY:
        return await destroy_account(wiring, account)
    rooms: list[UUID] = []
    async with wiring.database.transaction(account) as db:
        if step is Step.SESSIONS:
            ended = await end_sessions(db, by)
            rooms += ended.rooms
            for one in ended.cancelled:
                await tell_participants(db, wiring, session=one, mail=SessionMail.CANCELLED)
        elif step is Step.PEOPLE:
            await ask_for_people(db, account, by)
        elif step is Step.NOTES:
            await erase_all_notes(db, by)
        elif step is Step.HELD:
            await _say_what_stays(db, wiring, account)
        elif step is Step.TELL:
            await _say_it_goes(db, wiring, account)
    for session in rooms:  # the media processes hear it at once
        await push_session(wiring, nodes, account=account, session=session)


async def _remove_members(wiring: Wiring, account: AccountId, by: str) -> None:
    """Keys first: a row that is gone names nobody whose key would be left. What still lies under a key goes with the
    account's own."""
    async with wiring.database.transaction(account) as db:
        members = await members_to_remove(db)
        recorded = await still_recorded(db, members)
    for member in members:
        if member not in recorded:
            await asyncio.to_thread(wiring.keys.destroy, KeyPath(account, PersonId(member)))
    async with wiring.database.transaction(account) as db:
        await remove_members(db, account, members, by)


async def _say_what_stays(db: Db, wiring: Wiring, account: AccountId) -> None:
    """A certificate for now, which says what is not erased yet; owners hear of it once."""
    row = await closing_account(db)
    reasons = await unfinished(db) or ["A hold keeps notes beside a recording"]
    await issue(db, wiring.settings, row, keys=(), rows={}, verified=(), reasons=reasons)
    await _tell(db, wiring, row, "held")


async def _say_it_goes(db: Db, wiring: Wiring, account: AccountId) -> None:
    await _tell(db, wiring, await closing_account(db), "gone")


async def _tell(db: Db, wiring: Wiring, row: Account, step: str) -> None:
    account, settings = AccountId(row.account_id), wiring.settings
    link = settings.public_url.rstrip("/") + closed_path(settings, account)
    closed_at = row.closed_at or row.created_at
    await tell_of_closing(db, wiring, account=account, step=step, key=str(closed_at), closes_at=closed_at, link=link)


async def _left(db: Db, wiring: Wiring, account: AccountId) -> Left:
    """Once the account's key is destroyed nobody can be written to any more."""
    left = await left_of(db)
    standing = await asyncio.to_thread(wiring.keys.exists, KeyPath(account))
    return left if standing else replace(left, told=True, mails=0)


async def _can_go_on(db: Db, wiring: Wiring, row: Account) -> bool:
    """Whether a run would do something. While a hold lasts it would only say so again."""
    left = await _left(db, wiring, AccountId(row.account_id))
    step = next_step(left)
    if step is Step.HELD:
        return await _said_otherwise(db)
    return step not in RESTING


async def _said_otherwise(db: Db) -> bool:
    """The newest certificate gives other reasons than stand now, or there is none."""
    paper = await newest_paper(db)
    return paper is None or (bool(now := await unfinished(db)) and paper.document["not_verified"] != now)
