"""/health/live, /health/ready and /metrics of a process, and that nobody else's port is answered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from app import metrics
from app.database import Database
from app.migrations import run
from app.observed import Observed
from app.private_port import PrivatePort, bind, feel_the_loop
from app.readiness import Readying
from app.settings import Settings, SettingsError
from app.wiring import Wiring
from recordings.encryption.keystore import KeyStoreError
from recordings.storage.store import StoreError
from tests.app.loopback import until
from tests.fixtures.ports import free_ports
from tests.fixtures.web import Cast


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine looks for longer."""
    monkeypatch.setattr("app.readiness.LOOK_LIMIT_S", 60.0)


@pytest.fixture
async def private(wiring: Wiring) -> AsyncIterator[httpx.AsyncClient]:
    async with client(wiring) as opened:
        yield opened


def client(wiring: Wiring, readying: Readying | None = None) -> httpx.AsyncClient:
    port = PrivatePort(readying or Readying(wiring))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=port), base_url="http://127.0.0.1:9101")


async def test_a_process_that_has_what_it_needs_is_live_and_ready(private: httpx.AsyncClient) -> None:
    assert (await private.get("/health/live")).json() == {"live": True}
    ready = await private.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "database": "ok", "keys": "ok", "store": "ok"},
    )


async def test_without_its_database_it_is_live_but_not_ready(wiring: Wiring) -> None:
    async with client(replace(wiring, database=Database("postgresql://junier_app@127.0.0.1:1/none"))) as private:
        assert (await private.get("/health/live")).status_code == 200
        answer = await private.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["database"] == "not reachable" and answer.json()["store"] == "ok"


async def test_on_a_database_of_an_older_program_it_is_not_ready(wiring: Wiring, owner_url: str) -> None:
    run.downgrade(owner_url)
    async with client(wiring) as private:
        assert (await private.get("/health/ready")).json()["database"] == "not migrated"


@pytest.mark.parametrize(("revision", "serves"), [(None, False), ("0000", False), (run.head(), True), ("9999", True)])
def test_a_newer_database_is_served_and_an_older_one_is_not(revision: str | None, serves: bool) -> None:
    """During an upgrade the old processes go on with the new schema, and come back when they fall."""
    assert run.serves(revision) is serves


async def test_a_store_or_keys_that_do_not_work_are_named_and_asked_again(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True

    def check() -> str:
        if broken:
            raise StoreError("the bucket of Anna")
        return "well"

    def no_keys() -> str:
        raise KeyStoreError("key of Anna")

    monkeypatch.setattr(wiring.store, "check", check)
    monkeypatch.setattr(wiring.keys, "check", no_keys)
    async with client(wiring) as private:
        answer = await private.get("/health/ready")
        assert answer.status_code == 503 and "Anna" not in answer.text
        assert answer.json() == {"ready": False, "database": "ok", "keys": "not usable", "store": "not usable"}
        broken = False
        assert (await private.get("/health/ready")).json()["store"] == "ok"


async def test_a_paid_store_is_asked_once_a_minute(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    clock = [0.0]
    monkeypatch.setattr(wiring.store, "check", lambda: str(asked.append(clock[0])))
    readying = Readying(wiring, clock=lambda: clock[0])
    for at in (0.0, 10.0, 59.0, 61.0, 90.0):
        clock[0] = at
        assert (await readying.look()).ready
    assert asked == [0.0, 61.0]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405), ("GET", "/i/x", 404)]
)
async def test_it_answers_nothing_else(private: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await private.request(method, path)).status_code == status


def test_it_is_bound_to_loopback_and_a_taken_port_is_one_sentence() -> None:
    [port] = free_ports(1)
    assert bind(Settings()) is None
    bound = bind(Settings(metrics_port=port))
    assert bound is not None and bound.getsockname() == ("127.0.0.1", port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingsError, match="JUNIER_METRICS_PORT"):
            bind(Settings(metrics_port=other.getsockname()[1]))
    bound.close()


def counted(method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    return metrics.REGISTRY.get_sample_value("junier_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_never_by_what_stands_in_it(cast: Cast) -> None:
    secret = "s3cr3t" * 8
    app = Observed(cast.web.app)  # type: ignore[arg-type]
    before = counted("GET", "/i/{token}", "404"), counted("GET", "none", "404"), counted("other", "none", "405")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost:8000") as browser:
        await browser.get(f"/i/{secret}")
        await browser.get(f"/{secret}")
        await browser.get(f"/{secret}/{secret}")
        odd = await browser.request("SECRETMETHOD", "/sign-in")
    assert counted("GET", "/i/{token}", "404") == before[0] + 1
    assert counted("GET", "none", "404") == before[1] + 2
    told = metrics.exposition().decode()
    assert "s3cr3t" not in told and "SECRETMETHOD" not in told
    assert f'method="other",route="none",status="{odd.status_code}"' in told


async def test_no_label_of_any_number_is_about_a_person(cast: Cast) -> None:
    """Labels are words of our own code: routes, states, tasks, outcomes."""
    async with client(cast.wiring) as private:
        text = (await private.get("/metrics")).text
    labels = set()
    for family in metrics.REGISTRY.collect():
        for sample in family.samples:
            labels |= sample.labels.keys()
    assert labels <= {"method", "route", "status", "task", "outcome", "state", "health", "reason", "le"}
    for word in ("olga", "anna", "lab.example", str(cast.account), str(cast.session)):
        assert word not in text.lower()


async def test_a_loop_that_was_held_up_is_measured() -> None:
    def lag() -> float:
        return metrics.REGISTRY.get_sample_value("junier_event_loop_lag_seconds_sum") or 0.0

    before = lag()
    feeling = asyncio.create_task(feel_the_loop(every_s=0.01))
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 (what must not happen)
    await until(lambda: lag() >= before + 0.08, "the lag")
    feeling.cancel()
