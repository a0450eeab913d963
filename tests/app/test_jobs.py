"""Jobs begin and end with the caller's transaction."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from app.accounts.models import Account
from app.jobs import TASKS, BadJob, enqueue
from recordings.model import AccountId

ACCOUNT = AccountId(uuid4())
IDS = {"account_id": ACCOUNT, "recording_id": uuid4()}


def jobs(url: str) -> list[tuple[str, str, str | None, dict[str, str]]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT task_name, queue_name, queueing_lock, args FROM jobs.procrastinate_jobs ORDER BY id"
        ).fetchall()


async def test_committing_leaves_the_job_with_ids_only(database, owner_url):
    async with database.transaction(ACCOUNT) as db:
        assert await enqueue(db, "finalise", instruction="test", **IDS)
    assert jobs(owner_url) == [("finalise", "light", None, {name: str(value) for name, value in IDS.items()})]


async def test_rolling_back_leaves_no_job(database, owner_url):
    with pytest.raises(RuntimeError, match="changed my mind"):  # noqa: PT012
        async with database.transaction(ACCOUNT) as db:
            await enqueue(db, "finalise", instruction="test", **IDS)
            raise RuntimeError("changed my mind")
    assert jobs(owner_url) == []


async def test_the_same_key_waits_once_and_the_callers_rows_are_kept(database, owner_url):
    async with database.transaction(ACCOUNT) as db:
        assert await enqueue(db, "finalise", instruction="test", key="r1", **IDS)
    async with database.transaction(ACCOUNT) as db:
        db.add(Account(account_id=ACCOUNT, name="before the collision"))
        assert not await enqueue(db, "finalise", instruction="test", key="r1", **IDS)
        await db.execute(text("UPDATE account SET name = name || ', and after it'"))
    async with database.transaction(ACCOUNT) as db:
        name = (await db.execute(text("SELECT name FROM account"))).scalar_one()
    assert name == "before the collision, and after it"
    assert [row[2] for row in jobs(owner_url)] == ["finalise:r1"]


async def test_a_key_belongs_to_its_task(database, owner_url):
    async with database.transaction(ACCOUNT) as db:
        assert await enqueue(db, "finalise", instruction="test", key="1", **IDS)
        assert await enqueue(db, "erase", instruction="test", key="1", account_id=ACCOUNT, erasure_id=uuid4())
    assert len(jobs(owner_url)) == 2


async def test_a_waiting_job_does_not_start_before_the_caller_has_committed(database, owner_url):
    """Else it would run on the old state, and nobody would run on the new."""
    async with database.transaction(ACCOUNT) as db:
        await enqueue(db, "finalise", instruction="test", key="r1", **IDS)
    fetch = "SELECT id FROM jobs.procrastinate_jobs WHERE status = 'todo' FOR UPDATE SKIP LOCKED"
    async with database.transaction(ACCOUNT) as db:
        assert not await enqueue(db, "finalise", instruction="test", key="r1", **IDS)
        async with database.transaction() as worker:
            assert (await worker.execute(text(fetch))).all() == []
    async with database.transaction() as worker:
        assert len((await worker.execute(text(fetch))).all()) == 1


async def test_of_two_callers_at_once_one_adds_the_job(database, owner_url):
    both_ready = asyncio.Barrier(2)

    async def caller() -> bool:
        async with database.transaction(ACCOUNT) as db:
            await db.execute(text("SELECT 1"))
            await both_ready.wait()
            return await enqueue(db, "finalise", instruction="test", key="r1", **IDS)

    assert sorted(await asyncio.gather(caller(), caller())) == [False, True]
    assert len(jobs(owner_url)) == 1


@pytest.mark.parametrize(
    "task, ids",
    [
        ("launch_rockets", IDS),
        ("finalise", {"recording_id": uuid4()}),
        ("finalise", {**IDS, "email": uuid4()}),
        ("finalise", {**IDS, "recording_id": "ada@example.org"}),
        ("sweep", {"account_id": uuid4()}),
    ],
)
async def test_unknown_tasks_and_anything_but_the_declared_ids_are_refused(database, owner_url, task, ids):
    async with database.transaction(ACCOUNT) as db:
        with pytest.raises(BadJob):
            await enqueue(db, task, instruction="test", **ids)
    assert jobs(owner_url) == []


def test_every_task_of_an_account_carries_the_account():
    without = {name for name, task in TASKS.items() if "account_id" not in task.arguments}
    assert without == {"sweep", "reap", "rotate", "attest", "find_orphans"}
