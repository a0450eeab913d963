"""The small parent behind `junier serve`: starts embedded PostgreSQL and the processes, starts a dead one again
within a second, and stops everything in order. It serves nothing itself, so there is little that can fail."""

from __future__ import annotations

import contextlib
import http.client
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.embedded import EmbeddedPostgres, Urls
from app.embedded_place import EmbeddedError
from app.settings import Settings, child_environment

READY_LIMIT_S = 120.0
STOP_LIMIT_S = 15.0  # the media process stores what it holds for up to 8 s
LOOK_EVERY_S = 0.1
AGAIN_AFTER_S = 0.5  # a child that falls at once must not eat a core; one that had lived is started again at once
LIVED_S = 5.0

log = logging.getLogger("junier.serve")


class CannotServe(Exception):
    """The platform could not be started."""


@dataclass(kw_only=True)
class Child:
    """One process of ours; it ends by itself when the parent is gone, because its standard input closes."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    environment: Mapping[str, str] | None = None  # None: ours
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    began_at: float = field(default=0.0, init=False)
    again_at: float = field(default=0.0, init=False)

    def start(self, now: float) -> None:
        self.began_at = now
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.PIPE, start_new_session=True
        )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def revive(self, now: float) -> None:
        """Called again and again: notices the death, and starts the child anew; a moment later if it fell at once."""
        if self.process is not None and not self.alive():
            log.warning("%s ended (status %s), starting it again", self.name, self.process.returncode)
            self.process = None
            self.again_at = now if now - self.began_at >= LIVED_S else now + AGAIN_AFTER_S
        if self.process is None and now >= self.again_at:
            self.start(now)

    def ask_to_stop(self) -> None:
        if self.process is not None and self.alive():
            self.process.terminate()

    def wait(self, limit_s: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(limit_s, 0.1))
        except subprocess.TimeoutExpired:
            log.warning("%s does not stop, ending it", self.name)
            self.process.kill()
            self.process.wait()


def serve(settings: Settings, *, started: Callable[[Urls, float], None]) -> None:
    """Run until SIGTERM or SIGINT; started(urls, seconds): called once when people can open the pages.
    Raises CannotServe, EmbeddedError."""
    began = time.monotonic()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    children = _children(settings)
    _refuse_taken_ports(settings)
    database = None if settings.database_url else EmbeddedPostgres(settings.data_dir)
    try:
        urls = _open_database(settings, database)
        for child in children:
            child.start(time.monotonic())
        _await_ready(children, stop)
        if not stop.is_set():
            started(urls, time.monotonic() - began)
        while not stop.wait(LOOK_EVERY_S):
            if database is not None and not database.alive():
                log.warning("PostgreSQL ended, starting it again")
                with contextlib.suppress(EmbeddedError):
                    database.start()
            for child in children:
                child.revive(time.monotonic())
    finally:
        _stop(children)
        if database is not None:
            database.stop()


def _children(settings: Settings) -> list[Child]:
    media = urlsplit(settings.node_url)
    ours = [sys.executable, "-m", "app"]
    return [
        Child(name="web", command=[*ours, "web", "--with-parent"], ready=lambda: _web_answers(settings)),
        Child(
            name="media",
            command=[*ours, "media", "--with-parent"],
            ready=lambda: _listens(media.hostname or "127.0.0.1", media.port or 80),
            environment=child_environment(
                settings, JUNIER_METRICS_PORT=str(settings.metrics_port and settings.metrics_port + 1)
            ),
        ),
    ]


def _open_database(settings: Settings, database: EmbeddedPostgres | None) -> Urls:
    from app.migrations import run

    if database is None:
        urls = Urls(app=settings.database_url, owner=settings.migration_database_url)
    else:
        urls = database.start()
    if not run.serves(run.current(urls.app)):
        migrate = [sys.executable, "-m", "app", "migrate"]  # a process of its own gives Alembic's memory back
        if subprocess.run(migrate, stdout=subprocess.DEVNULL, check=False).returncode:
            raise CannotServe("The database could not be migrated; the message stands above")
    return urls


def _await_ready(children: Sequence[Child], stop: threading.Event) -> None:
    """A child that ends before it was ever ready will not do better a second time: say so and give up."""
    deadline = time.monotonic() + READY_LIMIT_S
    waiting = list(children)
    while waiting and not stop.wait(0.03):
        for child in list(waiting):
            if not child.alive():
                raise CannotServe(f"The {child.name} process ended at once; its message stands above")
            if child.ready():
                waiting.remove(child)
        if time.monotonic() > deadline:
            raise CannotServe(f"The {waiting[0].name} process was not ready within {READY_LIMIT_S:.0f} s")


def _stop(children: Sequence[Child]) -> None:
    deadline = time.monotonic() + STOP_LIMIT_S
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.wait(deadline - time.monotonic())


def _refuse_taken_ports(settings: Settings) -> None:
    media = urlsplit(settings.node_url)
    for host, port, variable in (
        (settings.listen_host, settings.listen_port, "JUNIER_LISTEN_PORT"),
        (media.hostname or "127.0.0.1", media.port or 80, "JUNIER_NODE_URL"),
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CannotServe(f"{host}:{port} cannot be used ({error.strerror}); change {variable}") from None


def _web_answers(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.listen_host, settings.listen_host)
    connection = http.client.HTTPConnection(host, settings.listen_port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
