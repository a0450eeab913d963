"""One event and one measurement per HTTP request and WebSocket, when its answer begins.

Of the address only the route's template is told: `/i/{token}`, never what stands in its place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from app import metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
"""Of requests that no route answers: their paths are whatever strangers type."""

log = structlog.get_logger("junier.requests")


class Observed:
    """ASGI around ASGI. The time is that until the answer begins: a stream of events may then go on for hours."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, told = time.perf_counter(), False

        async def observe(message: MutableMapping[str, Any]) -> None:
            nonlocal told
            status = _status(message)
            if status and not told:
                told = True
                _tell(scope, status, time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, observe)


def _status(message: MutableMapping[str, Any]) -> int | None:
    """Of the message that begins an answer; None for every other."""
    match message["type"]:
        case "http.response.start" | "websocket.http.response.start":
            return int(message["status"])
        case "websocket.accept":
            return 101
        case "websocket.close":  # before it was accepted
            return 403
    return None


def _tell(scope: Scope, status: int, seconds: float) -> None:
    method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
    if method not in METHODS and method != "WEBSOCKET":
        method = "other"
    route = scope.get("path_template") or NO_ROUTE
    metrics.REQUESTS.labels(method=method, route=route, status=str(status)).inc()
    metrics.ANSWERED_AFTER.labels(route=route).observe(seconds)
    level = logging.ERROR if status >= 500 else logging.INFO
    log.log(level, "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
