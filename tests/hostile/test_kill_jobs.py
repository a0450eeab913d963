"""kill -9 of a process that works on a job: somebody else takes it over, and nothing is lost or done by halves."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from app.database import Database
from app.demo.story import until
from app.jobs import enqueue
from recordings.model import AccountId
from tests.hostile.platform import LIMIT_SECONDS, Platform, Room, lost, room, shown

pytestmark = pytest.mark.timeout(600)


async def test_a_job_whose_process_was_killed_is_taken_over(running: Platform) -> None:
    """Finalising in the killed web process, transcribing in its killed child."""
    await running.ready()
    async with room(running) as here:
        async with here.sending(1, seconds=5) as sending:
            await sending.publication.done.wait()
        seen = await here.played()
        assert lost(sending.publication.frames_sent, shown(seen, 1), here.lapses()) == []
        with running.superuser() as holding:
            with holding.transaction():
                columns = "id, account_id, index_generation"
                found = holding.execute(f"SELECT {columns} FROM recording WHERE {in_session(here)} FOR UPDATE")
                recording, account, generation = found.fetchone() or ()
                await finalise_again(running, account, recording)
                newest = "id = (SELECT max(id) FROM jobs.procrastinate_jobs WHERE task_name = 'finalise')"
                await appears(running, "jobs.procrastinate_jobs", f"{newest} AND status = 'doing'")
                running.kill("web")  # finalising had begun and waited for the row
            await running.ready()
            stored = f"index_generation > {generation} AND state = 'stored'"
            await appears(running, "recording", f"{stored} AND {in_session(here)}")

        await here.end()
        await appears(running, "transcript", f"state = 'running' AND {of_session(here)}")
        running.kill("worker")
        assert not await exists(running, "transcript", f"state = 'ready' AND {of_session(here)}")
        said = (await until(lambda: here.owner.transcript(here.guest.name))).split()
        assert len(said) > 5
        assert "ready" in await here.recordings()


def in_session(here: Room) -> str:
    return f"session_id = '{here.owner.session}'"


def of_session(here: Room) -> str:
    return f"recording_id IN (SELECT id FROM recording WHERE {in_session(here)})"


async def finalise_again(running: Platform, account: UUID, recording: UUID) -> None:
    """The job, as it is enqueued when a take ends."""
    database = Database(running.app_url)
    async with database.transaction(AccountId(account)) as db:
        await enqueue(db, "finalise", instruction="test", account_id=account, recording_id=recording)
    await database.close()


async def exists(running: Platform, table: str, where: str) -> bool:
    with running.superuser() as connection:
        found = connection.execute(f"SELECT EXISTS (SELECT FROM {table} WHERE {where})".encode()).fetchone()
    return found == (True,)


async def appears(running: Platform, table: str, where: str) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await exists(running, table, where):
            await asyncio.sleep(0.02)
