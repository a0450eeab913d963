"""Jobs of a worker that went silent are taken over; one that keeps killing its worker is parked, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import procrastinate
import pytest
from sqlalchemy import select, text, update

from app.jobs import JobFailure, enqueue
from app.mail.models import MailState, OutgoingMail
from app.sessions.models import Recording, RecordingState
from recordings.model import RecordingId
from recordings.storage.memory import MemoryStore
from recordings.storage.store import StoreRefused
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast
from workers.__main__ import build
from workers.reap import POISON_ATTEMPTS, reap_jobs


@pytest.fixture
async def engine(cast: Cast) -> AsyncIterator[procrastinate.App]:
    """Without the tasks of the clock: which of those are due depends on the minute."""
    async with build(cast.wiring).open_async() as opened:
        opened.periodic_registry.periodic_tasks.clear()
        yield opened


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    """Captured, its finalising waits; nothing else does."""
    made = await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).where(Recording.id == made).values(state=RecordingState.CAPTURED))
        await db.execute(text("DELETE FROM procrastinate_jobs"))
        await enqueue(db, "finalise", instruction="test", account_id=cast.account, recording_id=made)
    return made


async def taken_by_a_worker(cast: Cast, *, silent_s: float) -> None:
    """A worker took every waiting job and was last heard of `silent_s` ago."""
    async with cast.wiring.database.transaction() as db:
        worker = (await db.execute(text("SELECT worker_id FROM procrastinate_register_worker_v1()"))).scalar_one()
        await db.execute(
            text("UPDATE procrastinate_workers SET last_heartbeat = now() - make_interval(secs => :s) WHERE id = :id"),
            {"s": silent_s, "id": worker},
        )
        await db.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :id WHERE status = 'todo'"),
            {"id": worker},
        )


async def statuses(cast: Cast) -> list[tuple[str, str, int]]:
    async with cast.wiring.database.transaction() as db:
        found = await db.execute(text("SELECT task_name, status::text, attempts FROM procrastinate_jobs ORDER BY id"))
        return [tuple(row) for row in found]  # type: ignore[misc]


async def state_of(cast: Cast, recording: UUID) -> tuple[str, str | None]:
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, recording)
        return row.state, row.failure_reason


async def work(engine: procrastinate.App) -> None:
    """Do what waits, as a worker does."""
    async with asyncio.timeout(60):
        await engine.run_worker_async(queues=["light"], wait=False, install_signal_handlers=False, concurrency=4)


async def test_the_job_of_a_dead_worker_is_taken_over_and_done(
    cast: Cast, engine: procrastinate.App, recording: RecordingId
) -> None:
    await taken_by_a_worker(cast, silent_s=31)
    assert await reap_jobs(cast.wiring, engine.job_manager) == 1
    assert await statuses(cast) == [("finalise", "todo", 1)]
    await work(engine)
    assert await state_of(cast, recording) == (RecordingState.STORED, None)


async def test_the_job_of_a_worker_that_is_heard_of_is_left_to_it(
    cast: Cast, engine: procrastinate.App, recording: RecordingId
) -> None:
    await taken_by_a_worker(cast, silent_s=0)
    assert await reap_jobs(cast.wiring, engine.job_manager) == 0
    assert await statuses(cast) == [("finalise", "doing", 0)]


async def test_a_job_that_keeps_killing_its_worker_is_parked_and_the_page_says_so(
    cast: Cast, engine: procrastinate.App, recording: RecordingId
) -> None:
    for _ in range(POISON_ATTEMPTS):
        await taken_by_a_worker(cast, silent_s=60)
        assert await reap_jobs(cast.wiring, engine.job_manager) == 1
    await taken_by_a_worker(cast, silent_s=60)
    assert await reap_jobs(cast.wiring, engine.job_manager) == 0
    assert await statuses(cast) == [("finalise", "failed", POISON_ATTEMPTS + 1)]
    state, reason = await state_of(cast, recording)
    assert state == RecordingState.FAILED
    assert "failed again and again" in (reason or "")
    assert await reap_jobs(cast.wiring, engine.job_manager) == 0


async def test_one_job_that_cannot_be_taken_over_does_not_stop_the_others(
    cast: Cast, engine: procrastinate.App, recording: RecordingId
) -> None:
    """Its lock is held by a newer job that waits and does the same."""
    erasure = {"account_id": cast.account, "erasure_id": uuid4()}
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(text("DELETE FROM procrastinate_jobs"))
        await enqueue(db, "erase", instruction="test", key="one", **erasure)
        await enqueue(db, "finalise", instruction="test", account_id=cast.account, recording_id=recording)
    await taken_by_a_worker(cast, silent_s=60)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await enqueue(db, "erase", instruction="test", key="one", **erasure)
    assert await reap_jobs(cast.wiring, engine.job_manager) == 2
    assert await statuses(cast) == [("erase", "failed", 1), ("finalise", "todo", 1), ("erase", "todo", 0)]


async def test_an_error_that_no_other_try_can_mend_is_shown_at_once(
    cast: Cast, engine: procrastinate.App, recording: RecordingId
) -> None:
    def refuse(verb: str, key: str) -> None:
        raise StoreRefused

    assert isinstance(cast.wiring.store, MemoryStore)
    cast.wiring.store.fault = refuse
    await work(engine)
    state, reason = await state_of(cast, recording)
    assert state == RecordingState.FAILED
    assert "refuses" in (reason or "")
    async with cast.wiring.database.transaction(cast.account) as db:
        failure = (await db.scalars(select(JobFailure))).one()
    assert (failure.task, failure.exception) == ("finalise", "StoreRefused")
    assert [status for _, status, _ in await statuses(cast)] == ["failed"]


async def test_a_surprise_is_tried_again_and_leaves_its_type_and_place_only(
    cast: Cast, engine: procrastinate.App, recording: RecordingId
) -> None:
    def surprise(verb: str, key: str) -> None:
        raise ZeroDivisionError("Anna lives at home.example")

    assert isinstance(cast.wiring.store, MemoryStore)
    cast.wiring.store.fault = surprise
    await work(engine)
    assert (await state_of(cast, recording))[0] == RecordingState.CAPTURED
    assert await statuses(cast) == [("finalise", "todo", 1)]
    async with cast.wiring.database.transaction(cast.account) as db:
        [failure] = (await db.execute(text("SELECT task, exception, place FROM job_failure"))).all()
    assert failure[:2] == ("finalise", "ZeroDivisionError")
    assert "Anna" not in " ".join(failure)

    async with cast.wiring.database.transaction() as db:  # the last try
        await db.execute(text("UPDATE procrastinate_jobs SET attempts = 8, scheduled_at = NULL"))
    await work(engine)
    state, reason = await state_of(cast, recording)
    assert state == RecordingState.FAILED
    assert "Anna" not in (reason or "")


async def test_a_mail_whose_worker_died_again_and_again_ends_as_failed(cast: Cast, engine: procrastinate.App) -> None:
    for _ in range(POISON_ATTEMPTS + 1):
        await taken_by_a_worker(cast, silent_s=60)
        await reap_jobs(cast.wiring, engine.job_manager)
    async with cast.wiring.database.transaction(cast.account) as db:
        states = (await db.scalars(select(OutgoingMail.state))).all()
    assert set(states) == {MailState.FAILED}
