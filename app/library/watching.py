"""A session's recordings looked at while somebody follows them: once a second per session and web process, however
many follow. The rows are the truth, so it does not matter which process changed them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from app.database import Db
from app.errors import TooManyTries
from app.library.service import names_of
from app.sessions.listing import Listing, recordings_of_session
from app.sessions.models import Recording, Session
from app.sessions.service import session_with_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

LOOK_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 15.0  # also when no row changed: dates come, and what is left is reckoned anew
MOST_PER_LOGIN = 4  # browsers open six connections to one server, and players need some of them

log = logging.getLogger("junier.web")


class TooManyPages(TooManyTries):
    """Too many pages of this login follow a session at once. Close some, or reload this one to see what is new."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A session as it stands at one moment. names: of everybody recorded in it, and of the account's members."""

    session: Session
    listing: Listing
    names: Mapping[PersonId, str]


async def look_at(db: Db, wiring: Wiring, session: UUID) -> Look:
    """Raises NotThere."""
    row, study = await session_with_study(db, session)
    names = await names_of(db, wiring.columns, select(Recording.person_id).where(Recording.session_id == session))
    listing = await recordings_of_session(db, row, study, names)
    return Look(session=row, listing=listing, names=names)


class _Watch:
    """One session. look: the newest, None before the first and while the database cannot be asked."""

    def __init__(self, wiring: Wiring, account: AccountId, session: UUID) -> None:
        self._wiring, self._account, self._session = wiring, account, session
        self._seen = asyncio.Condition()
        self._versions: str | None = None
        self._looked_at = 0.0
        self.look: Look | None = None
        self.followers = 0

    async def newer(self, than: Look | None, within_s: float) -> Look | None:
        """A look that is not `than`, or the present one after a while."""
        with suppress(asyncio.TimeoutError):
            async with self._seen:
                await asyncio.wait_for(self._seen.wait_for(lambda: self._is_newer(than)), within_s)
        return self.look

    def _is_newer(self, than: Look | None) -> bool:
        return self.look is not None and self.look is not than

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:  # this session may be gone, or the database away: followers hear nothing new
                log.warning("a session cannot be seen: %s", type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        async with self._wiring.database.transaction(self._account) as db:
            versions = (await db.execute(_VERSIONS, {"session": self._session})).scalar_one()
            if versions == self._versions and time.monotonic() - self._looked_at < LOOK_AGAIN_SECONDS:
                return
            look = await look_at(db, self._wiring, self._session)
        self._versions, self._looked_at = versions, time.monotonic()
        async with self._seen:
            self.look = look
            self._seen.notify_all()


_VERSIONS = text(
    """
    SELECT md5(string_agg(version, ',' ORDER BY version)) FROM (
        SELECT s.id || ':' || s.xmin AS version FROM session s WHERE s.id = :session
        UNION ALL SELECT r.id || ':' || r.xmin FROM recording r WHERE r.session_id = :session
        UNION ALL SELECT t.id || ':' || t.xmin FROM track t JOIN recording r ON r.id = t.recording_id
            WHERE r.session_id = :session
        UNION ALL SELECT t.id || ':' || t.xmin FROM transcript t JOIN recording r ON r.id = t.recording_id
            WHERE r.session_id = :session
    ) AS rows
    """
)
"""Changes whenever one of these rows does (xmin: the transaction that wrote it; PostgreSQL manual, System Columns)."""


class Watches:
    """The watches of one web process, and how many pages of each login follow one."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._watches: dict[UUID, tuple[_Watch, asyncio.Task[None]]] = {}
        self._pages: Counter[UUID] = Counter()

    def room_for(self, login: UUID) -> None:
        """Raises TooManyPages."""
        if self._pages[login] >= MOST_PER_LOGIN:
            raise TooManyPages

    @contextmanager
    def counted(self, login: UUID) -> Iterator[None]:
        self._pages[login] += 1
        try:
            yield
        finally:
            self._pages[login] -= 1
            if not self._pages[login]:
                del self._pages[login]

    @asynccontextmanager
    async def follow(self, account: AccountId, session: UUID) -> AsyncIterator[_Watch]:
        """A watch that runs while anybody follows it. The caller has checked that they may."""
        if session not in self._watches:
            watch = _Watch(self._wiring, account, session)
            self._watches[session] = (watch, asyncio.create_task(watch.run()))
        watch, task = self._watches[session]
        watch.followers += 1
        try:
            yield watch
        finally:
            watch.followers -= 1
            if not watch.followers:
                del self._watches[session]
                task.cancel()


def watches_of(app: Any, wiring: Wiring) -> Watches:
    """The one Watches of this application."""
    if "library_watches" not in app.state:
        app.state["library_watches"] = Watches(wiring)
    watches: Watches = app.state["library_watches"]
    return watches
