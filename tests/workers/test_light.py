"""The light worker inside the web process: whatever breaks it, it is started again."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from app.wiring import Wiring
from tests.fixtures.database import TestServer
from workers import __main__ as workers


async def test_losing_the_database_ends_it_with_an_error_and_never_quietly(
    wiring: Wiring,
    superuser_url: str,
    test_server: TestServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The web process starts again what fell; what returns is taken for finished."""

    async def nothing_to_transcribe(wiring: Wiring) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(workers, "keep_transcribing", nothing_to_transcribe)  # it would notice by itself
    working = asyncio.create_task(workers.run_light(wiring))
    database = superuser_url.partition("?")[0].rpartition("/")[2]
    async with asyncio.timeout(120):
        with psycopg.connect(superuser_url, autocommit=True) as looking:
            while looking.execute("SELECT count(*) FROM jobs.procrastinate_workers").fetchone() == (0,):
                await asyncio.sleep(0.05)
        superuser = test_server.superuser
        superuser.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false".encode())
        superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        while "stopping worker" not in caplog.text:  # whichever of its side tasks noticed first
            await asyncio.sleep(0.05)
        superuser.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true".encode())
        with pytest.raises(workers.WorkerStopped):
            await working
