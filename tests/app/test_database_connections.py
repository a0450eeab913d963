"""Connections of the pool: one that the server ended is found before a transaction begins on it."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from app import database as module
from app.database import Database


class NothingHeard:
    """A socket on which nothing arrives."""

    def register(self, *_: object) -> None:
        pass

    def poll(self, _: int) -> list[object]:
        return []


async def backend(database: Database) -> int:
    async with database.transaction() as db:
        return int((await db.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def end(superuser_url: str, pid: int) -> None:
    async with await psycopg.AsyncConnection.connect(superuser_url) as connection:
        ended = await connection.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])  # waits until it is gone
        assert await ended.fetchone() == (True,)


async def test_one_that_stands_is_used_again_without_a_question(database, monkeypatch):
    monkeypatch.setattr(module, "ASK_AFTER_S", 1_000_000)
    before = await backend(database)
    asked: list[str] = []
    engine = database.engine.sync_engine
    monkeypatch.setattr(engine.dialect, "do_ping", asked.append)
    event.listen(engine, "before_cursor_execute", lambda *facts: asked.append(facts[2]))
    assert await backend(database) == before
    assert asked == ["SELECT pg_backend_pid()"]


async def test_one_that_the_server_ended_is_replaced(database, superuser_url):
    before = await backend(database)
    await end(superuser_url, before)
    assert await backend(database) != before


async def test_one_that_was_closed_here_is_replaced(database):
    before = await backend(database)
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        await raw.driver_connection.close()
    assert await backend(database) != before


@pytest.mark.parametrize("rested", [True, False])
async def test_one_of_a_machine_that_fell_silent_is_asked_once_it_has_rested(
    database, superuser_url, monkeypatch, rested
):
    before = await backend(database)
    await end(superuser_url, before)
    monkeypatch.setattr(module, "poll", NothingHeard)
    monkeypatch.setattr(module, "ASK_AFTER_S", -1 if rested else 1_000_000)
    if rested:
        assert await backend(database) != before
    else:
        with pytest.raises(OperationalError):
            await backend(database)
