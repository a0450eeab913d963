"""Events of a room: one WebSocket per open page, told the whole room whenever it changes (PROTOCOL.md).

What has changed is seen by the watch of the session, which all who follow it share (watch.py).
Authorised by the login cookie and our own Origin (app.security), never by a token in the address.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from app.accounts.login import SignedIn, login_of
from app.database import Db
from app.errors import JunierError, SignInNeeded
from app.limited_routes import TOO_MANY
from app.room.models import Presence
from app.room.node_client import Node as NodePort
from app.room.rows import here
from app.room.seat import seat_of
from app.room.snapshot import told
from app.room.watch import Look, Watch, watches_of
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

SAY_SECONDS = 4.0  # at least this often, so that a dead connection is noticed (protocol.js)
HERE_SECONDS = 2.0
WRITTEN_WITHIN_SECONDS = 5.0  # a connection that died without a word is left
NOT_YOURS = 4403
MOST_MESSAGES = 100  # of one connection
MOST_PAGES = 10  # of one person, open at once

log = logging.getLogger("junier.room")


@websocket("/rooms/{session:uuid}/events")
async def events(socket: WebSocket[Any, Any, Any], wiring: Wiring, node: NodePort, session: UUID) -> None:
    """Follow a room until the page goes, or may no longer follow it."""
    try:
        login, role = await _follower(socket, wiring, session)
    except JunierError as refusal:
        await socket.accept()
        await socket.close(code=NOT_YOURS, reason=refusal.message[:120])
        return
    await socket.accept()
    person = login.member or login.participant
    assert person is not None  # _follower found their seat
    watches = watches_of(socket.app, wiring, node)
    async with watches.follow(login.account, session) as watch:
        if watch.pages[PersonId(person)] >= MOST_PAGES:
            await socket.close(code=TOO_MANY, reason="This page is open too often.")
            return
        watch.pages[PersonId(person)] += 1
        tasks = [
            asyncio.create_task(one)
            for one in (
                _tell(socket, watch, PersonId(person)),
                _until_closed(socket),
                _stay(socket, wiring, login, role, session),
            )
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
                    log.warning("a page is not told any more: %s", type(ended).__name__)
            watch.pages[PersonId(person)] -= 1
            if not watch.pages[PersonId(person)]:
                await asyncio.shield(_gone(wiring, login.account, session, person))
            watch.poke()
    with suppress(Exception):  # the page may have closed it already
        await socket.close()


async def _follower(socket: WebSocket[Any, Any, Any], wiring: Wiring, session: UUID) -> tuple[SignedIn, str]:
    login = await login_of(socket, wiring)
    if login is None:
        raise SignInNeeded
    async with wiring.database.transaction(login.account) as db:
        seat = await seat_of(db, wiring, login, session)
        await here(db, account=login.account, session=session, person=seat.person.person, role=seat.person.role)
    return login, seat.person.role


async def _tell(socket: WebSocket[Any, Any, Any], watch: Watch, person: PersonId) -> None:
    """Send every change, and the same again before silence could be taken for a loss."""
    look: Look | None = None
    last, said_at = b"", 0.0
    while True:
        look = await watch.changed(look, SAY_SECONDS)
        if look is None:
            continue
        if person not in look.facts.people:
            return
        message = msgspec.json.encode(told(look.facts, look.media, look.facts.people[person], look.names))
        if message != last or time.monotonic() - said_at >= SAY_SECONDS:
            await socket.send_text(message.decode())
            last, said_at = message, time.monotonic()


async def _until_closed(socket: WebSocket[Any, Any, Any]) -> None:
    """The page says nothing here; commands are HTTP. Whoever talks on and on is not our page."""
    with suppress(WebSocketDisconnect):
        for _ in range(MOST_MESSAGES):
            await socket.receive_text()


async def _stay(socket: WebSocket[Any, Any, Any], wiring: Wiring, login: SignedIn, role: str, session: UUID) -> None:
    """Say that this person is here; leave when their login ends."""
    while True:
        await asyncio.sleep(HERE_SECONDS)
        with suppress(OperationalError, TimeoutError):
            async with asyncio.timeout(WRITTEN_WITHIN_SECONDS):
                if await login_of(socket, wiring) is None:
                    return
                async with wiring.database.transaction(login.account) as db:
                    await _here(db, login, role, session)


async def _here(db: Db, login: SignedIn, role: str, session: UUID) -> None:
    person = login.member or login.participant
    if person is not None:
        await here(db, account=login.account, session=session, person=person, role=role)


async def _gone(wiring: Wiring, account: AccountId, session: UUID, person: UUID) -> None:
    with suppress(OperationalError, TimeoutError):
        async with asyncio.timeout(WRITTEN_WITHIN_SECONDS), wiring.database.transaction(account) as db:
            await db.execute(delete(Presence).where(Presence.session_id == session, Presence.person_id == person))
