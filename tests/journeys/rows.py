"""What lies in the database and the store behind a journey that runs in this process."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import select

from tests.app.room_stage import Stage

SEGMENT_SECONDS = 5  # the longest that a piece waits to be stored


async def all_of(scene: Stage, kind: type[Any]) -> list[Any]:
    async with scene.wiring.database.transaction(scene.account) as db:
        return list(await db.scalars(select(kind)))


async def stored_up_to(scene: Stage) -> None:
    """What had been captured by now lies in the store."""
    await asyncio.sleep(SEGMENT_SECONDS + 1)
