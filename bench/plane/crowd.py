"""Starting the bench's own processes, and leading their offers to whatever is measured."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from app.demo.clips import Clip
from bench.plane.exchange import Answer, Ended, Job, Offer, Sent, read

CONNECTED_WITHIN_S = 90.0
ENDED_WITHIN_S = 60.0
_Said = TypeVar("_Said")

Answering = Callable[[int, Offer], Awaitable[str]]
"""The answer of a server to the offer of peer number …"""


class Child:
    """A process of the bench's own that speaks `exchange`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    def tell(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def hear(self, kind: type[_Said], within_s: float) -> _Said:
        """Raises TimeoutError, and EOFError when the process has died."""
        assert self._process.stdout is not None
        return await asyncio.wait_for(read(self._process.stdout, kind), within_s)

    async def end(self) -> None:
        """Lets it finish what it does. Safe to call twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), ENDED_WITHIN_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"bench.plane.{module}",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    one = Child(process)
    try:
        yield one
    finally:
        await one.end()


@asynccontextmanager
async def connected(module: str, job: Job, answering: Answering) -> AsyncIterator[Child]:
    """Senders or viewers, from the moment all of them are connected."""
    async with child(module) as crowd:
        crowd.tell(job)
        for number in range(job.peers):
            offer = await crowd.hear(Offer, CONNECTED_WITHIN_S)
            crowd.tell(Answer(sdp=await answering(number, offer)))
        await crowd.hear(str, CONNECTED_WITHIN_S)
        yield crowd


async def all_sent(senders: Child, job: Job) -> list[Sent]:
    return await senders.hear(list[Sent], job.seconds + job.stagger_s + CONNECTED_WITHIN_S)


class Server(Child):
    """One of the bench's own servers."""

    async def answer(self, number: int, offer: Offer) -> str:
        self.tell(offer)
        return (await self.hear(Answer, CONNECTED_WITHIN_S)).sdp

    async def finish(self) -> Ended:
        """Ends it, and what it used until then."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self.hear(Ended, ENDED_WITHIN_S)


@asynccontextmanager
async def server(module: str, *arguments: str) -> AsyncIterator[Server]:
    async with child(module, *arguments) as one:
        yield Server(one._process)


def write_clips(pair: tuple[Clip, Clip], file: Path) -> str:
    """One round of picture and sound, for senders to read."""
    file.write_bytes(msgspec.msgpack.encode(pair))
    return str(file)
