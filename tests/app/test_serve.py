"""`junier serve` as people start it: one command, three processes, none of them missed for long."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from app.embedded import end_leftover
from app.embedded_place import find_place
from app.parent import AGAIN_AFTER_S, LIVED_S, Child
from tests.fixtures.ports import free_ports

LIMIT_S = 60.0


@pytest.fixture
def settings(data_dir) -> dict[str, str]:
    web, media = free_ports(2)
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith("JUNIER_") and "DATABASE" not in name
        },
        "JUNIER_DATA_DIR": str(data_dir),
        "JUNIER_LISTEN_PORT": str(web),
        "JUNIER_PUBLIC_URL": f"http://localhost:{web}",
        "JUNIER_NODE_URL": f"http://127.0.0.1:{media}",
        "JUNIER_MEDIA_ADDRESSES": "127.0.0.1",
    }


@pytest.fixture
def start(settings, data_dir):
    """Start `junier serve` and wait until it says it is ready."""
    started: list[subprocess.Popen[str]] = []

    def serve() -> psutil.Process:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"], env=settings, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ready"):
                return psutil.Process(process.pid)
        raise AssertionError(f"serve ended with {process.wait(LIMIT_S)}")

    yield serve
    for process in started:
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(LIMIT_S)
    end_leftover(find_place(data_dir).cluster)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def answers(settings: dict[str, str]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(settings["JUNIER_LISTEN_PORT"]), timeout=LIMIT_S)
    try:
        connection.request("GET", "/sign-in")  # a page that asks the database
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def child(parent: psutil.Process, word: str) -> psutil.Process | None:
    for process in parent.children():
        try:
            if word in " ".join(process.cmdline()[:5]) and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def ended(process: psutil.Process) -> bool:
    """Also when nobody has asked yet how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def junier(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *words]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=2 * LIMIT_S, check=False)


def test_who_lived_is_started_again_at_once_and_who_fell_at_once_after_a_moment():
    one = Child(name="any", command=["true"], ready=lambda: True)

    def falls() -> None:
        assert one.process is not None
        one.process.wait(LIMIT_S)

    one.start(0.0)
    falls()
    one.revive(LIVED_S)
    falls()
    one.revive(LIVED_S + 1)
    assert one.process is None
    one.revive(LIVED_S + 1 + AGAIN_AFTER_S)
    falls()


def test_each_killed_process_comes_back_and_sigterm_leaves_none(start, settings):
    parent = start()
    assert answers(settings)
    for word in ("web", "media", "postgres"):
        before = child(parent, word)
        assert before is not None, word
        before.send_signal(signal.SIGKILL)
        until(lambda word=word, before=before: (now := child(parent, word)) is not None and now != before)
        until(lambda: answers(settings))
    family = parent.children(recursive=True)
    parent.terminate()
    assert parent.wait(LIMIT_S) == 0
    _, left = psutil.wait_procs(family, timeout=LIMIT_S)
    assert left == []


def test_the_children_end_when_the_parent_is_killed_and_the_next_start_takes_over(start, settings):
    parent = start()
    web, media, postgres = (child(parent, word) for word in ("web", "media", "postgres"))
    assert web and media and postgres
    parent.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs([web, media], timeout=LIMIT_S)
    assert left == []
    start()
    assert answers(settings)
    assert ended(postgres)


def test_the_owner_can_be_made_and_signs_in_with_the_printed_link(start, settings, data_dir):
    start()
    made = junier(
        settings, "account", "create", "--name", "Lab", "--owner-name", "Ada", "--owner-email", "ada@example.org"
    )
    assert made.returncode == 0, made.stderr
    link = made.stdout.strip().splitlines()[-1]
    assert link.startswith(settings["JUNIER_PUBLIC_URL"] + "/sign-in/")
    connection = http.client.HTTPConnection("127.0.0.1", int(settings["JUNIER_LISTEN_PORT"]), timeout=LIMIT_S)
    connection.request("GET", link.removeprefix(settings["JUNIER_PUBLIC_URL"]))
    assert connection.getresponse().status == 200
    told: list[subprocess.CompletedProcess[str]] = []

    def is_healthy() -> bool:
        told.append(junier(settings, "doctor"))
        print(told[-1].stdout)
        return told[-1].returncode == 0

    until(is_healthy)  # on a busy machine a part may answer it too late
    assert "streams" in told[-1].stdout
    second = junier(settings, "serve")
    assert second.returncode == 1
    assert "JUNIER_LISTEN_PORT" in second.stderr
    assert (data_dir / "junier.lock").exists()


@pytest.mark.parametrize(
    "words, says",
    [
        (("worker", "--queues", "rockets"), "light, transcription"),
        (("account", "create", "--name", "L", "--owner-name", "A", "--owner-email", "nobody"), "--owner-email"),
        (("nothing",), "No such command"),
    ],
)
def test_wrong_words_are_answered_with_help(settings, data_dir, words, says):
    told = junier(settings, *words)
    assert told.returncode == 2
    assert says in told.stderr
    assert list(data_dir.iterdir()) == []


def test_a_wrong_setting_is_one_sentence(settings):
    told = junier({**settings, "JUNIER_PUBLIC_URL": "sessions.example.eu"}, "serve")
    assert told.returncode == 1
    assert told.stderr.startswith("Error: JUNIER_PUBLIC_URL")
