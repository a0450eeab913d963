"""Watching a room: a session that somebody follows is looked at every 0.7 s, once per web process however many follow.

The database and the media process are the truth, so it does not matter which web process caused a change.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.errors import JunierError
from app.room.node_client import NodeClient
from app.room.node_messages import SessionFacts
from app.room.room import PARTICIPANT, RoomFacts
from app.room.rows import one_moment, read_room
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

LOOK_SECONDS = 0.7
LOOK_WITHIN_SECONDS = 5.0  # a connection that died without a word is left, and the next look takes another

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
