"""Events of a room: one WebSocket per open page, told the whole room whenever it changes (PROTOCOL.md).

A session that somebody follows is looked at every 0.7 s, once per web process however many follow: the
database and the media process are the truth, so it does not matter which web process caused a change.
Authorised by the login cookie and our own Origin (app.security), never by a token in the address.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
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
from app.room.node_client import NodeClient
from app.room.node_messages import SessionFacts
from app.room.room import PARTICIPANT, RoomFacts
from app.room.rows import here, one_moment, read_room
from app.room.seat import seat_of
from app.room.snapshot import told
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

LOOK_SECONDS = 0.7
LOOK_WITHIN_SECONDS = 5.0  # a connection that died without a word is left, and the next look takes another
SAY_SECONDS = 4.0  # at least this often, so that a dead connection is noticed (protocol.js)
HERE_SECONDS = 2.0
NOT_YOURS = 4403
MOST_MESSAGES = 100  # of one connection
MOST_PAGES = 10  # of one person, open at once

log = logging.getLogger("junier.room")


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A room as seen at one moment; media: None when the media process did not answer."""

    facts: RoomFacts
    media: SessionFacts | None
    names: dict[PersonId, str]


class Watch:
    """One session, looked at while somebody follows it."""

    def __init__(self, wiring: Wiring, node: NodeClient, account: AccountId, session: UUID) -> None:
        self._wiring, self._node, self._account, self._session = wiring, node, account, session
        self._poke = asyncio.Event()
        self._seen = asyncio.Condition()
        self._names: dict[tuple[PersonId, bytes], str] = {}
        self._trouble = ""
        self.look: Look | None = None
        self.followers = 0
        self.pages: Counter[PersonId] = Counter()

    def poke(self) -> None:
        """Something changed: look now."""
        self._poke.set()

    async def changed(self, than: Look | None, within_s: float) -> Look | None:
        """The next look after `than`, or the present one after a while."""
        with suppress(asyncio.TimeoutError):
            async with self._seen:
                await asyncio.wait_for(self._seen.wait_for(lambda: self.look is not than), within_s)
        return self.look

    async def run(self) -> None:
        while True:
            look, trouble = None, ""
            try:
                async with asyncio.timeout(LOOK_WITHIN_SECONDS):
                    look = await self._look()
            except Exception as error:  # say nothing rather than something old: silence is noticed by the page
                trouble = type(error).__name__
            if trouble and trouble != self._trouble:
                log.warning("a room cannot be seen: %s", trouble)
            self._trouble = trouble
            async with self._seen:
                self.look = look
                self._seen.notify_all()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._poke.wait(), LOOK_SECONDS)
            self._poke.clear()

    async def _look(self) -> Look:
        async with one_moment(self._wiring.database, self._account) as db:
            facts = await read_room(db, self._wiring, account=self._account, session=self._session)
        media = None
        if facts.node is not None:
            with suppress(JunierError):
                media = await self._node.facts(facts.node, self._session)
        else:
            media = SessionFacts(leased=False, waiting_s=0.0, failing=None, streams=[])
        return Look(facts=facts, media=media, names=self._names_of(facts))

    def _names_of(self, facts: RoomFacts) -> dict[PersonId, str]:
        """Opened once per sealed value, and only while somebody follows."""
        known = {}
        for person in facts.people.values():
            key = (person.person, person.name or b"")
            field = "participant.name" if person.role == PARTICIPANT else "member.name"
            if key not in self._names:
                self._names[key] = self._wiring.columns.open(self._account, person.person, field, person.name)
            known[person.person] = self._names[key]
        return known


class Watches:
    """The watches of one web process."""

    def __init__(self, wiring: Wiring, node: NodeClient) -> None:
        self._wiring, self._node = wiring, node
        self._watches: dict[UUID, tuple[Watch, asyncio.Task[None]]] = {}

    def poke(self, session: UUID) -> None:
        """After a change was committed here: tell the followers at once."""
        if session in self._watches:
            self._watches[session][0].poke()

    @asynccontextmanager
    async def follow(self, account: AccountId, session: UUID) -> AsyncIterator[Watch]:
        """A watch that runs while anybody follows it."""
        if session not in self._watches:
            watch = Watch(self._wiring, self._node, account, session)
            self._watches[session] = (watch, asyncio.create_task(watch.run()))
        watch, task = self._watches[session]
        watch.followers += 1
        watch.poke()
        try:
            yield watch
        finally:
            watch.followers -= 1
            if watch.followers == 0:
                del self._watches[session]
                task.cancel()


def watches_of(app: Any, wiring: Wiring, node: NodeClient) -> Watches:
    """The one Watches of this application."""
    if "room_watches" not in app.state:
        app.state["room_watches"] = Watches(wiring, node)
    watches: Watches = app.state["room_watches"]
    return watches


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
            async with asyncio.timeout(LOOK_WITHIN_SECONDS):
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
        async with asyncio.timeout(LOOK_WITHIN_SECONDS), wiring.database.transaction(account) as db:
            await db.execute(delete(Presence).where(Presence.session_id == session, Presence.person_id == person))
