"""Permission reaches the media process: at once after a change, and every half second while a room is live.

What is pushed is computed from the database alone (room.permission), so several processes may push the same: web
processes, and light workers so that a web process may be started anew in the middle of a session. The newest reading
wins. When nobody pushes, the media process stops capturing by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text

from app.errors import Conflict, JunierError
from app.room.allowance import is_overlong
from app.room.node_client import NodeClient
from app.room.node_messages import LEASE_SECONDS, PUSH_SECONDS
from app.room.room import RoomFacts, permission
from app.room.rows import one_moment, read_room
from app.sessions.policy import Switch
from app.sessions.service import pause_recording
from app.wiring import Wiring
from recordings.model import AccountId

PATIENCE_SECONDS = LEASE_SECONDS / 2
"""A media process that does not answer must not let the leases of other rooms run out."""

ASKED_WITHIN_SECONDS = 5.0
"""A connection to the database that died without a word must not keep permission from every room."""

log = logging.getLogger("junier.room")


class NotDelivered(Exception):
    """The media process did not take the permission; named by why."""


class Troubles:
    """What keeps permission from live sessions, told when it changes and not every half second."""

    def __init__(self) -> None:
        self._known: dict[UUID, str] = {}

    def tell(self, found: Mapping[UUID, str]) -> None:
        """found: all there is of it now, by session."""
        for session, trouble in found.items():
            if self._known.get(session) != trouble:
                log.error("no permission for session %s: %s", session, trouble)
        for session in self._known.keys() - found.keys():
            log.info("permission for session %s again, or it is over", session)
        self._known = dict(found)


async def push_session(wiring: Wiring, node: NodeClient, *, account: AccountId, session: UUID) -> bool:
    """Tell the session's media process what may be captured now; call it after the change is committed.

    Returns whether it was told. When it cannot be reached the change still holds: without a push capture
    stops within LEASE_SECONDS, and the loop tries again."""
    try:
        await _push(wiring, node, account=account, session=session)
    except NotDelivered as error:
        trouble = str(error)  # a type
        log.warning("permission not delivered: %s", trouble)
        return False
    return True


async def _push(wiring: Wiring, node: NodeClient, *, account: AccountId, session: UUID) -> None:
    """Raises NotDelivered."""
    async with one_moment(wiring.database, account) as db:
        facts = await read_room(db, wiring, account=account, session=session)
    if facts.recording is Switch.ON and is_overlong(facts, wiring.settings.recording_minutes):
        facts = await _paused(wiring, facts)
    if facts.node is None:
        return  # nobody has published yet
    try:
        await node.permit(facts.node, session, permission(facts))
    except JunierError as error:
        raise NotDelivered(type(error).__name__) from error


async def _paused(wiring: Wiring, facts: RoomFacts) -> RoomFacts:
    """Pauses what has been recorded for the longest time, for everybody to see. Another process may have done it."""
    try:
        async with wiring.database.transaction(facts.account) as db:
            await pause_recording(db, session=facts.session)
    except Conflict:
        pass
    return replace(facts, recording=Switch.PAUSED)


def push_loop(node: NodeClient, *, every_s: float = PUSH_SECONDS) -> Callable[[Wiring], Awaitable[None]]:
    """A background coroutine of a web process or, less often, of a light worker."""

    async def run(wiring: Wiring) -> None:
        troubles = Troubles()
        while True:
            troubles.tell(await push_all(wiring, node))
            await asyncio.sleep(every_s)

    return run


async def push_all(wiring: Wiring, node: NodeClient) -> dict[UUID, str]:
    """One round over all live sessions; one that fails or is slow does not keep the others waiting. Returns what went
    wrong, by session."""
    async with asyncio.timeout(ASKED_WITHIN_SECONDS), wiring.database.transaction() as db:
        live = (await db.execute(text("SELECT account_id, session_id FROM live_sessions()"))).all()
    told = await asyncio.gather(
        *(
            asyncio.wait_for(
                _push(wiring, node, account=AccountId(one.account_id), session=one.session_id), PATIENCE_SECONDS
            )
            for one in live
        ),
        return_exceptions=True,
    )
    return {
        one.session_id: str(outcome) if isinstance(outcome, NotDelivered) else type(outcome).__name__
        for one, outcome in zip(live, told, strict=True)
        if isinstance(outcome, Exception)
    }
