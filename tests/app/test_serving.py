"""A copy of the database that is started beside the running one is refused before it serves or erases anything."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

import app.privacy.serving as serving
from app.backup import back_up, restore
from app.database import Database
from app.ledger import ledger_of
from app.ledger_entries import Suppressed
from app.privacy.replaying import Replayed, catch_up
from app.privacy.serving import (
    RUNS_OUT,
    Claim,
    FolderPlace,
    LedgerBehind,
    ServedElsewhere,
    StorePlace,
    claim,
    go_on,
    may_serve,
)
from app.wiring import Wiring
from recordings.storage.memory import MemoryStore
from recordings.storage.store import StoreUnavailable
from tests.fixtures.erasing import SpyNodes
from tests.fixtures.web import Cast

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def said(number: int = 5, place: str = "here", seconds_ago: float = 10) -> Claim:
    return Claim(number=number, place=place, at=NOW - timedelta(seconds=seconds_ago))


@pytest.mark.parametrize(
    "found, allowed",
    [
        (None, True),
        (said(), True),
        (said(number=4), True),  # it was said before the database knew of it
        (said(number=6), False),  # the same one, copied before that: also of the whole machine
        (said(place="there"), False),
        (said(place="there", number=1), False),
        (said(place="there", seconds_ago=RUNS_OUT.total_seconds() - 1), False),
        (said(place="there", seconds_ago=RUNS_OUT.total_seconds()), True),
        (said(number=6, seconds_ago=1e6), True),
    ],
)
def test_who_may_serve(found: Claim | None, allowed: bool) -> None:
    assert bool(may_serve([said()], found, NOW)) is allowed


def test_a_restored_one_takes_the_place_of_the_one_it_replaces_but_not_of_one_that_went_on() -> None:
    restored, former = said(number=0, place="aside"), said()
    assert may_serve([restored, former], said(), NOW)
    assert not may_serve([restored, former], said(number=6), NOW)


@pytest.fixture
async def copy(cast: Cast, nodes: SpyNodes, owner_url: str, empty_urls: dict[str, str], tmp_path: Path) -> Any:
    """Another database with the same content, keys, ledger and bucket, while the first one is served."""
    await catch_up(cast.wiring, nodes)
    restore(cast.wiring.keys, back_up(cast.wiring.keys, owner_url, tmp_path, days=35, now=NOW), empty_urls["owner"])
    database = Database(empty_urls["app"])
    yield replace(cast.wiring, database=database)
    await database.close()


def suppressed(cast: Cast) -> Suppressed:
    return Suppressed(at=datetime.now(UTC), account=cast.account, address=uuid4().hex * 2)


async def test_a_copy_beside_the_running_one_is_refused_and_has_done_nothing(
    cast: Cast, nodes: SpyNodes, copy: Wiring, empty_urls: dict[str, str]
) -> None:
    ledger_of(cast.wiring.settings).append(suppressed(cast))
    for _ in range(2):
        with pytest.raises(ServedElsewhere, match="keys and a bucket of its own"):
            await catch_up(copy, nodes)
    with psycopg.connect(empty_urls["owner"]) as owner:
        assert owner.execute("SELECT count(*) FROM suppression").fetchone() == (0,)
    assert await catch_up(cast.wiring, nodes) == Replayed(addresses=1)


@pytest.mark.parametrize("shared", ["folder", "bucket"])
async def test_one_shared_place_is_enough(
    cast: Cast, nodes: SpyNodes, copy: Wiring, tmp_path: Path, shared: str
) -> None:
    """A copy with keys of its own and the same bucket; and one with a bucket of its own and the same keys."""
    folder = cast.wiring.settings.keys_folder / "ledger" / "serving.json"
    if shared == "bucket":
        folder.unlink()
    else:
        copy = replace(copy, store=MemoryStore())
    with pytest.raises(ServedElsewhere):
        await catch_up(copy, nodes)


async def test_when_the_other_one_has_been_silent_it_is_taken_over_and_then_refused_itself(
    cast: Cast, nodes: SpyNodes, copy: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(serving, "RUNS_OUT", timedelta())
        assert await catch_up(copy, nodes) == Replayed()
    with pytest.raises(ServedElsewhere):
        await claim(cast.wiring)
    await claim(copy)


async def test_a_ledger_from_an_older_copy_of_the_key_folder_is_refused_though_the_database_is_as_old(
    cast: Cast, nodes: SpyNodes
) -> None:
    """As after a machine was put back as a whole; what was erased since is known to the bucket alone."""
    await catch_up(cast.wiring, nodes)
    ledger, place = ledger_of(cast.wiring.settings), StorePlace(cast.wiring.store)
    before = ledger.path.read_bytes()
    ledger.append(suppressed(cast))
    newest = place.newest()
    assert newest is not None
    long_ago = datetime.now(UTC) - timedelta(days=1)
    place.say(replace(newest, number=newest.number + 1, at=long_ago, size=ledger.size()))
    ledger.path.write_bytes(before)
    with pytest.raises(LedgerBehind):
        await catch_up(cast.wiring, nodes)
    ledger.path.unlink()
    ledger.start()  # another installation in the same bucket is nobody's older copy
    await claim(cast.wiring)


async def test_processes_of_one_database_say_it_together(
    cast: Cast, nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "EVERY", timedelta())  # each says it
    await catch_up(cast.wiring, nodes)
    await asyncio.gather(*(claim(cast.wiring) for _ in range(5)))
    [kept] = [thing.key for thing in cast.wiring.store.remains("serving/")][-1:]
    assert kept == "serving/000000000000006"
    found = FolderPlace(cast.wiring.settings.keys_folder / "ledger" / "serving.json").newest()
    assert found is not None and found.number == 6


async def test_a_process_ends_when_another_database_has_taken_over(
    cast: Cast, nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catch_up(cast.wiring, nodes)
    StorePlace(cast.wiring.store).say(Claim(number=99, place="there", at=datetime.now(UTC)))
    told = asyncio.Event()
    monkeypatch.setattr(serving, "EVERY", timedelta())
    monkeypatch.setattr(os, "kill", lambda pid, number: told.set() if number == signal.SIGTERM else None)
    running = asyncio.create_task(go_on(cast.wiring))
    await asyncio.wait_for(told.wait(), 60)
    running.cancel()


async def test_a_store_that_is_away_stops_nobody(cast: Cast, nodes: SpyNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise StoreUnavailable

    for verb in ("put", "list"):
        monkeypatch.setattr(cast.wiring.store, verb, away)
    assert await catch_up(cast.wiring, nodes) == Replayed()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"number": "x", "place": "", "at": ""}'])
def test_what_cannot_be_read_says_nothing_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    place = FolderPlace(tmp_path / "serving.json")
    place.path.write_bytes(content)
    assert place.newest() is None
    assert place.say(said()) and place.newest() == said()
