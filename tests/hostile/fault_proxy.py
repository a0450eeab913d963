"""A proxy before a real S3 service that misbehaves on command: plain TCP, one request per connection."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from recordings.storage.regions import place_of
from recordings.storage.s3 import S3Store
from tests.fixtures.weed import Weed

HOST = "127.0.0.1"
SLOW_SECONDS = 0.5
HEAD_LIMIT = 64 * 1024
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
OTHER = b"these are the bytes of another object" * 40


class Fault(StrEnum):
    """What may be wrong. The last five say or do something that is not true."""

    ERROR_500 = "500"
    ERROR_503 = "503 SlowDown"
    DENIED = "403 AccessDenied"
    SILENT = "accepts and says nothing"
    SLOW = "answers late"
    RESET = "resets at once"
    RESET_WHILE_SENDING = "resets in the middle of the body"
    LOST_ANSWER = "does it, and its answer is lost"
    TRUNCATED = "half of the answer"
    GARBAGE = "an answer that is no HTTP"
    OTHER_BYTES = "another object's bytes"
    YES_TO_ALL = "200, and nothing is done"


@dataclass
class FaultProxy:
    """Use `proxied`. fault: what every request meets from now on, None for a healthy way; met: how often each did."""

    upstream: tuple[str, int]
    fault: Fault | Callable[[], Fault | None] | None = None
    met: Counter[Fault] = field(default_factory=Counter)
    seed: int = 1
    port: int = 0
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def store(self, weed: Weed, *, read_timeout_s: float = 1.0) -> S3Store:
        """The adapter behind this proxy. Time-outs are those of the product made short."""
        place = place_of(f"http://{HOST}:{self.port}", weed.region, loopback_allowed=True)
        return S3Store(
            place,
            bucket=weed.bucket,
            access_key=weed.access_key,
            secret=weed.secret,
            read_timeout_s=read_timeout_s,
            tries=2,
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._one_request(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def stop(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fault = self.fault() if callable(self.fault) else self.fault
        if fault is None:
            await self._pass_on(head, reader, writer)
            return
        self.met[fault] += 1
        steps: dict[Fault, Callable[[], Coroutine[Any, Any, None]]] = {
            Fault.ERROR_500: lambda: _answer(writer, "500 Internal Server Error", b"oh no"),
            Fault.ERROR_503: lambda: _answer(writer, "503 Slow Down", DENIED.replace(b"AccessDenied", b"SlowDown")),
            Fault.DENIED: lambda: _answer(writer, "403 Forbidden", DENIED),
            Fault.SILENT: lambda: _swallow(reader),
            Fault.SLOW: lambda: self._late(head, reader, writer),
            Fault.RESET: lambda: _reset(writer),
            Fault.RESET_WHILE_SENDING: lambda: _reset_later(head, reader, writer),
            Fault.LOST_ANSWER: lambda: self._pass_on(head, reader, writer, keep=0),
            Fault.TRUNCATED: lambda: self._pass_on(head, reader, writer, keep=0.6),
            Fault.GARBAGE: lambda: _write(writer, self._chance.randbytes(900)),
            Fault.OTHER_BYTES: lambda: _answer(writer, "200 OK", OTHER, 'ETag: "0123456789abcdef"'),
            Fault.YES_TO_ALL: lambda: _answer(writer, "200 OK", b""),
        }
        await steps[fault]()

    async def _late(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(SLOW_SECONDS)
        await self._pass_on(head, reader, writer)

    async def _pass_on(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: float = 1.0
    ) -> None:
        """The request to the real service, and this share of its answer back."""
        back, onward = await asyncio.open_connection(*self.upstream)
        try:
            onward.write(head[:-2] + b"Connection: close\r\n\r\n")
            sending = asyncio.create_task(_pour(reader, onward))
            try:
                if keep == 1.0:
                    await _pour(back, writer)
                    return
                if b"100-continue" in head.lower():
                    writer.write(await back.readuntil(b"\r\n\r\n"))
                answer = await back.read()
                if keep:
                    writer.write(answer[: int(len(answer) * keep)])
                    await writer.drain()
                await _reset(writer)
            finally:
                sending.cancel()
        finally:
            onward.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _answer(writer: asyncio.StreamWriter, status: str, body: bytes, *headers: str) -> None:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    await _write(writer, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)


async def _swallow(reader: asyncio.StreamReader) -> None:
    """Until the other side has had enough."""
    while await reader.read(65_536):
        pass


async def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _reset_later(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if b"100-continue" in head.lower():
        await _write(writer, b"HTTP/1.1 100 Continue\r\n\r\n")
    await reader.read(1000)
    await _reset(writer)


@asynccontextmanager
async def proxied(weed: Weed, *, seed: int = 1) -> AsyncIterator[FaultProxy]:
    """A proxy before `weed`, in the running event loop."""
    place = urlsplit(weed.endpoint)
    proxy = FaultProxy((place.hostname or HOST, place.port or 80), seed=seed)
    server = await asyncio.start_server(proxy.serve, HOST, 0, limit=HEAD_LIMIT)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
