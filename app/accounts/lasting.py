"""Answers that last: films, downloads, streams of events. Who is signed out, loses a role, is removed, or whose object
is closed to them gets no more of one that is already on its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from litestar.connection import ASGIConnection

from app.accounts.login import SignedIn, cookie_name, find_login
from app.database import Db
from app.errors import JunierError
from app.wiring import Wiring

ASK_AGAIN_SECONDS = 1.0

Still = Callable[[], Awaitable[bool]]
Check = Callable[[Db, SignedIn], Awaitable[object]]


async def while_allowed(
    pieces: Iterator[bytes] | AsyncIterator[bytes], still: Still, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """The pieces, as long as `still` says so: asked at most once a second. What was cut off ends the connection, as
    less was sent than was announced. pieces: may block unless they are asynchronous."""

    async def following() -> bytes | None:
        if isinstance(pieces, AsyncIterator):
            return await anext(pieces, None)
        return await asyncio.to_thread(next, pieces, None)

    asked = clock()
    while (piece := await following()) is not None:
        if clock() - asked >= ASK_AGAIN_SECONDS:
            if not await still():
                return
            asked = clock()
        yield piece


def as_asked(
    connection: ASGIConnection[Any, Any, Any, Any], wiring: Wiring, check: Check, *, used: bool = True
) -> Still:
    """Whether the cookie of this connection still opens what it opened: `check` asks as the handler did, by raising,
    with the account set. used: whoever gets the answer does something with it at this moment."""

    async def still() -> bool:
        token = connection.cookies.get(cookie_name(wiring.settings))
        if not token:
            return False
        async with wiring.database.transaction() as db:
            login = await find_login(db, wiring.columns, token, used=used)
            if login is None:
                return False
            try:
                login.require_open(connection.scope["path"])
                await check(db, login)
            except JunierError:
                return False
        return True

    return still
