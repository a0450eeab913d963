"""Behind a journey that runs in this process: its windows, its rows, its mails and what it stored."""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Browser
from sqlalchemy import select

from app.accounts.login import cookie_name
from app.mail.models import OutgoingMail
from app.mail.service import open_mail
from tests.app.room_stage import Stage
from tests.journeys.browser import Window

SEGMENT_SECONDS = 5  # the longest that a piece waits to be stored


async def window(browser: Browser, scene: Stage, cookie: str = "", *, width: int = 1280) -> Window:
    """A browser profile of its own, signed in by `cookie` if there is one."""
    opened = await Window.open(browser, width=width)
    if cookie:
        settings = scene.wiring.settings
        await opened.context.add_cookies([{"name": cookie_name(settings), "value": cookie, "url": settings.origin}])
    return opened


async def all_of(scene: Stage, kind: type[Any]) -> list[Any]:
    async with scene.wiring.database.transaction(scene.account) as db:
        return list(await db.scalars(select(kind)))


async def stored_up_to(scene: Stage) -> None:
    """What had been captured by now lies in the store."""
    await asyncio.sleep(SEGMENT_SECONDS + 1)


async def sent_to(scene: Stage) -> dict[str, str]:
    """The text of the newest mail waiting for each address."""
    async with scene.wiring.database.transaction(scene.account) as db:
        rows = await db.scalars(select(OutgoingMail).order_by(OutgoingMail.created_at))
        contents = [open_mail(scene.wiring.columns, row) for row in rows]
    return {one.to: one.text for one in contents if one is not None}
