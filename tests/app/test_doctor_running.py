"""Doctor on what runs: each fault the operator can meet is found, and told with how to mend it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest
import trustme

from app import doctor, doctor_running, public_address
from app.database import Database
from app.doctor_running import (
    check_clock,
    check_disk,
    check_erasing,
    check_jobs,
    check_public_address,
    check_udp,
)
from app.findings import Broken, Note
from app.jobs import note_done
from app.settings import Mode, Settings
from tests.fixtures.ports import free_ports

PRODUCTION = Settings(
    mode=Mode.PRODUCTION,
    public_url="https://sessions.example.eu",
    platform_contact="help@platform.example",
    mail="smtp",
    mail_from="a@b.example",
    smtp_host="localhost",
)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers late on a busy machine is not what these tests are about."""
    for module in (doctor_running, public_address):
        monkeypatch.setattr(module, "LIMIT_S", 60.0)


def found(kind: type[Broken], check, *arguments) -> Broken:
    with pytest.raises(Broken) as told:
        check(*arguments)
    assert type(told.value) is kind and told.value.mend
    return told.value


# --- the public address ---------------------------------------------------------------------------------------------


@contextmanager
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, days: float, trusted: bool, body: bytes) -> Iterator[str]:
    """An https site on this machine, whose authority this process trusts or not."""
    authority = trustme.CA()
    if trusted:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that localhost can stand for a name of the internet."""
    monkeypatch.setattr(doctor_running, "LOOPBACK_HOSTS", ())


@pytest.mark.usefixtures("not_local")
@pytest.mark.parametrize(
    ("days", "trusted", "body", "says"),
    [
        (90, False, b'{"web": "ok"}', "no certificate that browsers trust"),
        (3, True, b'{"web": "ok"}', "ends in 3 days"),
        (90, True, b"<h1>Welcome to nginx</h1>", "not by this platform"),
    ],
)
def test_a_public_address_that_people_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, trusted: bool, body: bytes, says: str
) -> None:
    with site(tmp_path, monkeypatch, days=days, trusted=trusted, body=body) as url:
        assert says in str(found(Broken, check_public_address, replace(PRODUCTION, public_url=url)))


@pytest.mark.usefixtures("not_local")
def test_a_public_address_that_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site(tmp_path, monkeypatch, days=60.5, trusted=True, body=b'{"web": "ok"}') as url:
        assert "60 days" in check_public_address(replace(PRODUCTION, public_url=url))


@pytest.mark.usefixtures("not_local")
def test_a_public_address_nobody_answers_and_one_without_https() -> None:
    [port] = free_ports(1)
    silent = replace(PRODUCTION, public_url=f"https://localhost:{port}")
    assert "does not answer" in str(found(Note, check_public_address, silent))
    plain = replace(PRODUCTION, public_url="http://sessions.example.eu")
    assert "not https" in str(found(Broken, check_public_address, plain))


def test_in_development_this_machine_is_enough() -> None:
    assert "this machine only" in check_public_address(Settings())
    found(Note, check_public_address, replace(PRODUCTION, public_url="http://localhost:8000"))


# --- UDP ------------------------------------------------------------------------------------------------------------


def test_an_address_that_is_not_ours() -> None:
    assert "not an address of this machine" in str(
        found(Broken, check_udp, replace(PRODUCTION, media_addresses="203.0.113.5"))
    )


def test_ports_that_are_all_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        settings = replace(PRODUCTION, media_addresses="127.0.0.1", media_ports=f"{port}-{port}")
        assert "taken" in str(found(Broken, check_udp, settings))


def test_addresses_nobody_outside_reaches_and_none_at_all() -> None:
    inside = replace(PRODUCTION, media_addresses="127.0.0.1", media_ports="42000-42999")
    assert "no address of the internet" in str(found(Note, check_udp, inside))
    assert "every address" in str(found(Note, check_udp, PRODUCTION))
    assert check_udp(Settings(media_addresses="127.0.0.1"))
    assert check_udp(replace(inside, media_announced="9.9.9.9")).startswith("9.9.9.9")


@pytest.mark.parametrize("ports", ["40000", "40000-", "90-100", "41999-40000", "many", "60000-70000"])
def test_ports_that_are_no_range_stop_the_start(ports: str) -> None:
    with pytest.raises(Exception, match="JUNIER_MEDIA_PORTS"):
        Settings.from_env({"JUNIER_MEDIA_PORTS": ports})


# --- disk and clock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free_gb", "kind"), [(0.5, Broken), (8, Note), (3, Note)])
def test_a_disk_that_fills_up(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, kind: type[Broken]
) -> None:
    usage = namedtuple("usage", "total used free")(100_000_000_000, 0, int(free_gb * 1e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert f"{free_gb:.1f} of 100.0 GB" in str(found(kind, check_disk, Settings(data_dir=data_dir / "not" / "yet")))


@pytest.mark.parametrize(("seconds", "kind"), [(30, Note), (-30, Note), (400, Broken)])
def test_a_clock_that_goes_wrong(
    app_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, kind: type[Broken]
) -> None:
    real = time.time
    monkeypatch.setattr(doctor_running.time, "time", lambda: real() - seconds)
    said = str(found(kind, check_clock, Settings(database_url=app_url)))
    assert ("behind" if seconds > 0 else "ahead of") in said and "the database" in said


def test_the_object_stores_clock_is_asked_too(weed) -> None:
    settings = Settings(object_store="s3", s3_endpoint=weed.endpoint, s3_region="local", s3_bucket="b")
    asked = time.time()
    ahead = doctor_running._store_ahead(settings)
    assert ahead is not None and abs(ahead) < (time.time() - asked) / 2 + 1


# --- the work that is due -------------------------------------------------------------------------------------------


async def swept(app_url: str) -> None:
    database = Database(app_url)
    async with database.transaction() as db:
        await note_done(db, "sweep")
    await database.close()


def test_nobody_sweeps(app_url: str, superuser_url: str) -> None:
    settings = Settings(database_url=app_url)
    assert "nobody has looked" in str(found(Note, check_erasing, settings))
    asyncio.run(swept(app_url))
    assert check_erasing(settings) == "nothing is late"
    with psycopg.connect(superuser_url) as connection:
        connection.execute("UPDATE task_done SET at = now() - interval '20 minutes'")
    assert "for 20 minutes" in str(found(Broken, check_erasing, settings))


def test_something_that_should_be_gone_is_not(app_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That `overdue` finds it stands in tests/promises/test_j4_retention.py."""

    async def late(*_: object) -> timedelta:
        return timedelta(days=2, hours=3)

    monkeypatch.setattr(doctor_running, "overdue", late)
    assert "2 days ago" in str(found(Broken, check_erasing, Settings(database_url=app_url)))


def test_jobs_that_were_given_up(app_url: str) -> None:
    settings = Settings(database_url=app_url)
    assert check_jobs(settings) == "none was given up"
    with psycopg.connect(app_url) as connection:
        connection.execute(
            "INSERT INTO jobs.procrastinate_jobs (queue_name, task_name, status, args) "
            "VALUES ('light', 'finalise', 'failed', '{}')"
        )
    assert "1 jobs were given up" in str(found(Note, check_jobs, settings))


def test_a_database_that_is_away_is_told_once(data_dir: Path) -> None:
    settings = Settings(database_url="postgresql://junier_app@127.0.0.1:1/junier")
    found(Note, check_erasing, settings)
    found(Note, check_jobs, settings)
    assert "before the first start" in check_jobs(Settings(data_dir=data_dir))


# --- for programs ---------------------------------------------------------------------------------------------------


def test_programs_get_json_and_an_exit_status(data_dir: Path) -> None:
    def asked(**more: str) -> tuple[int, dict]:
        command = [sys.executable, "-m", "app", "doctor", "--json"]
        environment = {"PATH": "/usr/bin:/bin", "JUNIER_DATA_DIR": str(data_dir / "var"), **more}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, json.loads(done.stdout)

    status, well = asked()
    assert (status, well["broken"]) == (0, 0)
    assert {finding["about"] for finding in well["findings"]} >= {"Settings", "Database", "UDP", "Erasing", "Clock"}
    status, ill = asked(JUNIER_TURN_ONLY="true")
    assert (status, ill["broken"]) == (1, 1)
    [turn] = [finding for finding in ill["findings"] if finding["state"] == "broken"]
    assert turn["about"] == "TURN" and "JUNIER_TURN_ONLY" in turn["says"] and turn["mend"]


def test_a_model_folder_without_a_model(data_dir: Path) -> None:
    assert "no model" in str(found(Broken, doctor.check_speech, lambda: str(data_dir)))
    assert "fetched" in doctor.check_speech(lambda: "small")
