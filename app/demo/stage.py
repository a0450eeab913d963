"""The platform as anybody would run it: `junier serve` as a child, in its own empty folder, on free ports."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from app.embedded import running
from app.settings import Settings, child_environment

FOLDER = Path("var/demo")
FIRST_PORT = 8000
READY_SECONDS = 150
STOP_SECONDS = 20
LOG_LINES = 20


class StageFailed(Exception):
    """The platform did not start."""


@dataclass
class Stage:
    """A running platform. `settings` are the very ones its processes read."""

    settings: Settings
    serving: asyncio.subprocess.Process
    lock: IO[bytes]

    @classmethod
    async def open(
        cls,
        folder: Path = FOLDER,
        *,
        port: int = FIRST_PORT,
        node_port: int = 0,
        media: str = "127.0.0.1",
        **others: object,
    ) -> Stage:
        """Start from nothing and wait until people could open it. Raises StageFailed with the end of its log.

        port: where people open it, or any free one when it is taken; node_port: the same of the media process's own;
        media: the address streams come to; others: further settings."""
        lock = _only_one(folder)
        if running(folder):
            raise StageFailed(f"A demo is already running in {folder}; stop it there with Ctrl-C, then start again.")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o755)
        web, node = _free_port(port), _free_port(node_port)
        settings = Settings.from_env(
            {},
            public_url=f"http://localhost:{web}",
            listen_port=web,
            node_url=f"http://127.0.0.1:{node}",
            data_dir=folder.resolve(),
            media_addresses=media,
            **others,
        )
        with (folder / "serve.log").open("wb") as log:
            serving = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", "serve", env=child_environment(settings), stdout=log, stderr=log
            )
        stage = cls(settings, serving, lock)
        try:
            await stage._until_ready()
        except BaseException:
            await stage.close()
            raise
        return stage

    async def command(self, *arguments: str) -> str:
        """Run another `junier` command beside the platform and return what it printed. Raises StageFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            *arguments,
            env=child_environment(self.settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed = (await process.communicate())[0].decode()
        if process.returncode != 0:
            raise StageFailed(f"junier {' '.join(arguments)} ended with {process.returncode}: {printed}")
        return printed

    async def close(self) -> None:
        """Stop everything it started. Safe to call twice."""
        if self.serving.returncode is not None:
            return
        self.serving.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.serving.wait(), STOP_SECONDS)
        except TimeoutError:
            self.serving.kill()
            await self.serving.wait()

    async def _until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while loop.time() < deadline and self.serving.returncode is None:
                try:
                    web = await http.get(f"{self.settings.public_url}/health")
                    node = await http.get(f"{self.settings.node_url}/health")
                    if web.is_success and node.status_code < 500:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        tail = (self.settings.data_dir / "serve.log").read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise StageFailed("The platform did not start:\n" + "\n".join(tail))


def _only_one(folder: Path) -> IO[bytes]:
    """Held as long as this process lives: the folder is emptied at the start, and never under a running demo."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_suffix(".lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StageFailed(f"A demo is running in {folder} already; stop it first (Ctrl-C there)") from None
    return lock


def _free_port(wanted: int) -> int:
    """`wanted` when nothing listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StageFailed("No free port on this machine")
