"""The restore drill: back up the world of a test, and open the world that comes out of the backup."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from app.backup import back_up, restore
from app.database import Database
from app.privacy.replaying import Replayed, catch_up
from app.restoring import begin_anew
from app.wiring import Wiring
from recordings.storage.layout import SERVING
from tests.promises.quiet_node import QuietNode
from tests.promises.world import World


async def backed_up(world: World, owner_url: str, folder: Path) -> Path:
    """As `junier backup`, after the processes have started once."""
    await catch_up(world.wiring, QuietNode())
    return back_up(world.wiring.keys, owner_url, folder, days=35, now=datetime.now(UTC))


def nobody_is_served(wiring: Wiring) -> None:
    """The database that was served is lost, and it is long ago that it said so."""
    (wiring.settings.keys_folder / "ledger" / "serving.json").unlink(missing_ok=True)
    wiring.store.delete(list(wiring.store.remains(SERVING)))


@asynccontextmanager
async def restored(world: World, file: Path, urls: dict[str, str]) -> AsyncIterator[tuple[World, Replayed]]:
    """The same keys and objects with the database of the backup, started: what every process does before it serves."""
    restore(world.wiring.keys, file, urls["owner"])
    begin_anew(urls["owner"])
    nobody_is_served(world.wiring)
    database = Database(urls["app"])
    then = replace(world, wiring=replace(world.wiring, database=database), node=QuietNode(), browsers=[])
    try:
        yield then, await catch_up(then.wiring, then.node)
    finally:
        await then.close()
        await database.close()
