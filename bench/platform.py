"""The platform as people start it, `junier serve`, in a folder of its own; looked at from outside."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from app.settings import Settings, child_environment

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.01


class PlatformFailed(Exception):
    """The platform did not start."""


class Platform:
    """May be started and stopped again and again; what it keeps stays in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        web, node = _free_ports(2)
        self.settings = Settings.from_env(
            {},
            public_url=f"http://localhost:{web}",
            listen_port=web,
            node_url=f"http://127.0.0.1:{node}",
            data_dir=folder / "data",
            media_addresses="127.0.0.1",
        )
        self._node_port = node
        self._log = folder / "serve.log"
        self._serving: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until a page that asks the database is served and media answers. Raises PlatformFailed."""
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._serving = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                env=child_environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while time.monotonic() - began < READY_WITHIN_S and self._serving.poll() is None:
            if (
                _status(self._node_port, "/health") in (200, 401)
                and _status(self.settings.listen_port, "/sign-in") == 200
            ):
                return time.monotonic() - began
            time.sleep(_LOOK_EVERY_S)
        self.stop()
        tail = self._log.read_text(errors="replace").splitlines()[-20:]
        raise PlatformFailed("\n".join([PlatformFailed.__doc__ or "", *tail]))

    def stop(self) -> None:
        """Stops all of it. Safe to call twice."""
        if self._serving is None:
            return
        family = self.processes()
        self._serving.send_signal(signal.SIGTERM)
        try:
            self._serving.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._serving.kill()
            self._serving.wait()
        self._serving = None
        for left in psutil.wait_procs(family, timeout=2)[1]:
            left.kill()

    def processes(self) -> list[psutil.Process]:
        """The parent and everything below it."""
        if self._serving is None or self._serving.poll() is not None:
            return []
        parent = psutil.Process(self._serving.pid)
        return [parent, *parent.children(recursive=True)]

    def media_process(self) -> psutil.Process:
        """The one that receives and seals. Raises PlatformFailed."""
        return self._child("media")

    def web_process(self) -> psutil.Process:
        """The one that answers pages. Raises PlatformFailed."""
        return self._child("web")

    def database_processes(self) -> list[psutil.Process]:
        """Of the embedded PostgreSQL."""
        return [process for process in self.processes() if process.name() == "postgres"]

    def _child(self, name: str) -> psutil.Process:
        for process in self.processes():
            if process.cmdline()[1:4] == ["-m", "app", name]:
                return process
        raise PlatformFailed(f"There is no {name} process.")


def proportional_bytes(process: psutil.Process) -> int:
    """Memory of a process with what it shares divided by those who share it (PSS, proc(5) smaps_rollup)."""
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise PlatformFailed(f"The kernel does not tell the memory of process {process.pid}.")


def resident_bytes(process: psutil.Process) -> int:
    """Memory of a process, all that it shares included (RSS)."""
    return int(process.memory_info().rss)


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
