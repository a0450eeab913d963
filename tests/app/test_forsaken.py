"""A media process that is gone for good leaves nothing hanging, and one that comes back late loses nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from app.database import Database, now_in
from app.room.forsaken import GIVEN_UP_AFTER, close_forsaken
from app.room.node_ledger import Ledger
from app.sessions.models import Node, Recording, RecordingState, Take
from app.sessions.service import open_take
from recordings.capture.spool import Spool
from recordings.model import StreamKind, TrackKind, TrackRef
from recordings.storage.layout import journal_key, recording_and_take, segment_key
from tests.app.room_stage import RECORDED, Stage, stage

NODE = "media-1"


async def published(scene: Stage, silent_for: timedelta) -> TrackRef:
    """An open take on a media process last heard of so long ago; its voice."""
    anna = await scene.participant("Anna", *RECORDED)
    async with scene.wiring.database.transaction(scene.account) as db:
        now = await now_in(db)
        await db.merge(Node(name=NODE, url="http://127.0.0.1:1", capacity=9, started_at=now, heartbeat_at=now))
        await db.flush()
        await db.execute(update(Node).where(Node.name == NODE).values(heartbeat_at=now - silent_for))
        taken = await open_take(
            db,
            scene.wiring.keys,
            account=scene.account,
            session=scene.session,
            person=anna,
            person_is_member=False,
            stream=StreamKind.CAMERA,
            kinds={TrackKind.VOICE},
            node=NODE,
            resource=uuid4().hex,
        )
    return taken.tracks[TrackKind.VOICE]


async def state_of(scene: Stage) -> tuple[str, bool]:
    """The recording's state, and whether its take is open."""
    async with scene.wiring.database.transaction(scene.account) as db:
        row = (await db.scalars(select(Recording))).one()
        return row.state, (await db.scalars(select(Take))).one().ended_at is None


def ledger(scene: Stage, spool: Spool) -> Ledger:
    return Ledger(scene.wiring.database, spool, name=NODE, url="http://127.0.0.1:1", capacity=9)


async def test_a_take_is_closed_only_when_its_media_process_is_long_gone(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    await published(scene, GIVEN_UP_AFTER - timedelta(minutes=1))
    await close_forsaken(database)
    assert await state_of(scene) == (RecordingState.CAPTURING, True)
    async with database.transaction() as db:
        await db.execute(update(Node).values(heartbeat_at=Node.heartbeat_at - timedelta(minutes=2)))
    await close_forsaken(database)
    assert await state_of(scene) == (RecordingState.CAPTURED, False)
    async with database.transaction(scene.account) as db:
        assert (await db.scalars(select(Recording))).one().interrupted


@pytest.mark.parametrize("leftovers", [True, False])
async def test_one_that_comes_back_late_opens_again_what_still_lies_in_its_spool(
    database: Database, tmp_path: Path, leftovers: bool
) -> None:
    scene = await stage(database, tmp_path)
    voice = await published(scene, GIVEN_UP_AFTER * 2)
    await close_forsaken(database)
    before = Spool(tmp_path / "spool", 1 << 20)
    if leftovers:
        before.append(segment_key(voice, 1, 0), bytes(3) + b"\x20" + bytes(32))  # one framed message
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.recover()
    left = await ledger(scene, spool).left_open()
    assert [take.number for take in left if take.recording == voice.of.recording] == ([1] if leftovers else [])
    expected = RecordingState.CAPTURING if leftovers else RecordingState.CAPTURED
    assert await state_of(scene) == (expected, leftovers)


async def test_what_was_erased_meanwhile_is_not_opened_again(database: Database, tmp_path: Path) -> None:
    scene = await stage(database, tmp_path)
    voice = await published(scene, GIVEN_UP_AFTER * 2)
    await close_forsaken(database)
    async with database.transaction(scene.account) as db:
        erased = {"erased_at": await now_in(db), "state": RecordingState.ERASED}
        await db.execute(update(Recording).values(**erased))
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(segment_key(voice, 1, 0), b"sealed")
    spool.close(segment_key(voice, 1, 0))
    await ledger(scene, spool).left_open()
    assert await state_of(scene) == (RecordingState.ERASED, False)


async def test_a_key_tells_whose_take_it_belongs_to(database: Database, tmp_path: Path) -> None:
    voice = await published(await stage(database, tmp_path), timedelta(0))
    for key in (segment_key(voice, 7, 3), journal_key(voice, 7)):
        assert recording_and_take(key) == (voice.of.account, voice.of.recording, 7)
    with pytest.raises(ValueError):
        recording_and_take("probe/x")
