"""Transcription as a child process: started when a job waits, gone when none is left, so that the speech
model costs memory only while it works and a crash of native code never reaches the web process."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import text

from app.jobs import Queue
from app.settings import child_environment
from app.wiring import Wiring

LOOK_EVERY_SECONDS = 0.5
STOP_SECONDS = 10


async def keep_transcribing(wiring: Wiring) -> None:
    """Runs until cancelled; at most one child at a time."""
    child: asyncio.subprocess.Process | None = None
    try:
        while True:
            if (child is None or child.returncode is not None) and await _waiting(wiring):
                child = await _start(wiring)
            await asyncio.sleep(LOOK_EVERY_SECONDS)
    finally:
        if child is not None and child.returncode is None:
            await _stop(child)


async def _waiting(wiring: Wiring) -> bool:
    async with wiring.database.transaction() as db:
        found = await db.execute(
            text(
                "SELECT 1 FROM jobs.procrastinate_jobs WHERE queue_name = :queue AND status = 'todo'"
                " AND (scheduled_at IS NULL OR scheduled_at <= now()) LIMIT 1"
            ),
            {"queue": Queue.TRANSCRIPTION.value},
        )
        return found.first() is not None


async def _start(wiring: Wiring) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "worker",
        "--queues",
        Queue.TRANSCRIPTION.value,
        "--until-idle",
        env=child_environment(wiring.settings, DATABASE_URL=wiring.database.url, JUNIER_METRICS_PORT="0"),
        stdin=asyncio.subprocess.DEVNULL,
    )


async def _stop(child: asyncio.subprocess.Process) -> None:
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_SECONDS)
    except TimeoutError:
        child.kill()
        await child.wait()
