"""The network between one browser and us, which can be lost and come back: pages, WebSocket and media alike."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import BrowserContext, Route

CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host")
PIECE_BYTES = 65_536


@dataclass
class Network:
    """While `up` is set everything passes. Cleared, nothing does, in no direction, and nobody is told: connections
    stay as they are and say nothing, new ones are taken and never answered, datagrams are gone.

    port: where a browser reaches our pages through it. Media goes through UDP doors, whose ports stand in the answers
    that the browser gets instead of the server's own. host: where media seems to come from; answered: packets of
    media and about media that the server has sent there since it is that.
    """

    port: int
    up: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0
    host: str = "127.0.0.1"
    answered: int = 0
    _doors: list[tuple[asyncio.DatagramTransport, _Door]] = field(default_factory=list)

    async def between(self, context: BrowserContext) -> None:
        """Before the first page is opened."""
        await context.route(re.compile(r"/wh[ie]p"), self._answer)

    async def _answer(self, route: Route) -> None:
        answer = await route.fetch()
        body = await answer.text()
        for server in set(CANDIDATE.findall(body)):
            loop = asyncio.get_running_loop()
            door = await loop.create_datagram_endpoint(
                lambda server=server: _Door(self, int(server)),  # type: ignore[misc]
                local_addr=("127.0.0.1", 0),
            )
            self._doors.append(door)
            port = door[0].get_extra_info("sockname")[1]
            body = body.replace(f" 127.0.0.1 {server} typ host", f" 127.0.0.1 {port} typ host")
        await route.fulfill(response=answer, body=body)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of one connection."""
        while data := await reader.read(PIECE_BYTES):
            await self.up.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    def move(self, host: str) -> None:
        """As after a change of networks behind a NAT: what is sent from now on comes from there, from other ports."""
        self.host, self.answered = host, 0
        for _, door in self._doors:
            door.forget()

    def close(self) -> None:
        for one, _ in self._doors:
            one.close()


@asynccontextmanager
async def network(server: int) -> AsyncIterator[Network]:
    """In front of the web process at port `server`; up at first."""
    ends: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made.up.wait()
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", server)
            await asyncio.gather(made.pump(reader, forth), made.pump(back, writer))
        except OSError:
            writer.close()

    def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(connected(reader, writer))
        ends.add(task)
        task.add_done_callback(ends.discard)

    proxy = await asyncio.start_server(taken, "127.0.0.1", 0)
    made = Network(port=proxy.sockets[0].getsockname()[1])
    made.up.set()
    try:
        yield made
    finally:
        proxy.close()
        for task in tuple(ends):
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        made.close()


class _Door(asyncio.DatagramProtocol):
    """Towards the browser."""

    def __init__(self, network: Network, server: int) -> None:
        self._network, self._server = network, ("127.0.0.1", server)
        self._towards: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._waiting: dict[tuple[str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.forget()

    def forget(self) -> None:
        for one in self._towards.values():
            one.close()
        self._towards.clear()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if not self._network.up.is_set():
            self._network.dropped += 1
        elif address in self._towards:
            self._towards[address].sendto(data)
        elif address in self._waiting:
            self._waiting[address].append(data)
        else:
            self._waiting[address] = [data]
            task = asyncio.ensure_future(self._open(address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, address: tuple[str, int]) -> None:
        back, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Back(self._network, self.transport, address),
            local_addr=(self._network.host, 0),
            remote_addr=self._server,
        )
        self._towards[address] = back
        for data in self._waiting.pop(address):
            back.sendto(data)


class _Back(asyncio.DatagramProtocol):
    """Towards the server, for one port of the browser."""

    def __init__(self, network: Network, door: asyncio.BaseTransport, browser: tuple[str, int]) -> None:
        self._network, self._door, self._browser = network, door, browser

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if self._network.up.is_set():
            self._network.answered += 127 < data[0] < 192  # RFC 7983
            self._door.sendto(data, self._browser)  # type: ignore[attr-defined]
        else:
            self._network.dropped += 1
