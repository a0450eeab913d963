"""A publication whose answer never reached the web process has no row: its end, however late, ends no other take."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from app.database import Database
from app.sessions.models import RecordingState
from recordings.capture.spool import Spool
from tests.app.room_stage import stage
from tests.app.test_forsaken import ledger, published, state_of


async def test_the_end_of_a_lost_publication_leaves_the_take_that_got_its_number(
    database: Database, tmp_path: Path
) -> None:
    scene = await stage(database, tmp_path)
    await published(scene, timedelta(0))
    spool = Spool(tmp_path / "spool", 1 << 20)
    node = ledger(scene, spool)
    [end] = await node.left_open()
    node.end(replace(end, resource="of the lost one"))
    await node.finish_ready()
    assert await state_of(scene) == (RecordingState.CAPTURING, True) and node.unfinished == 0
    node.end(end)
    await node.finish_ready()
    assert await state_of(scene) == (RecordingState.CAPTURED, False)
