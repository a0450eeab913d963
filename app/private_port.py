"""The private port of a process: /metrics, /health/live and /health/ready, for the operator's own tools only.

It runs in the process's one event loop, so an answer also says that the loop turns. It has no names of people to hide
and is bound to loopback unless the settings name a private address.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from app import metrics
from app.readiness import Readying
from app.settings import Settings, SettingsError

Gauges = Callable[[], Awaitable[None]]
"""Brings what must be asked for up to date, just before the numbers are read."""
Answer = tuple[int, str, bytes]
LOOP_EVERY_S = 0.5
TEXT, JSON = "text/plain; charset=utf-8", "application/json"


def bind(settings: Settings) -> socket.socket | None:
    """The port, taken before anything starts; None when there is none. Raises SettingsError."""
    if not settings.metrics_port:
        return None
    family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.metrics_host, settings.metrics_port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"{settings.metrics_host}:{settings.metrics_port} cannot be used ({error.strerror}); "
            "change JUNIER_METRICS_PORT or JUNIER_METRICS_HOST"
        ) from None
    return bound


class PrivatePort:
    """ASGI. gauges: run before each scrape; one that fails leaves its numbers as they were."""

    def __init__(self, readying: Readying, gauges: Sequence[Gauges] = ()) -> None:
        self._readying, self._gauges = readying, gauges

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, kind, body = await self._answer(scope["method"], scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, method: str, path: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return 405, TEXT, b"Only GET is answered here.\n"
        match path:
            case "/health/live":
                return 200, JSON, b'{"live": true}\n'
            case "/health/ready":
                found = await self._readying.look()
                body = json.dumps({"ready": found.ready, **found.needed}).encode() + b"\n"
                return (200 if found.ready else 503), JSON, body
            case "/metrics":
                for gauge in self._gauges:
                    await gauge()
                return 200, metrics.CONTENT_TYPE, metrics.exposition()
        return 404, TEXT, b"Here are /metrics, /health/live and /health/ready.\n"


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process has one already."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(bound: socket.socket, port: PrivatePort) -> None:
    """Answer on the bound port until cancelled."""
    config = uvicorn.Config(
        port, lifespan="off", log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    feeling = asyncio.create_task(feel_the_loop())
    try:
        await server.serve(sockets=[bound])
    finally:
        server.should_exit = True
        feeling.cancel()


async def feel_the_loop(*, every_s: float = LOOP_EVERY_S) -> None:
    """What blocks the loop makes everything of this process late, the draining of media's sockets first of all."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + every_s
        await asyncio.sleep(every_s)
        metrics.LOOP_LAG.observe(max(0.0, clock() - due))
