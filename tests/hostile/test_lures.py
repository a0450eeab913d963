"""Offers that name a listener on this machine as their candidate, in every form we could think of: it hears nothing."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from app.room import peer, sdp
from recordings.model import StreamKind
from tests.app.loopback import BOTH, HERE, Collected, offering, until
from tests.fixtures.ports import free_port

WAIT_S = 1.0
"""aioice sends its first check to a candidate at once and the next after half a second."""

ADDRESSES = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.2",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.000.000.001",
    "0.0.0.0",
    "0",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "localhost",
    "localhost.",
    "ip6-localhost",
    "7f000001-0000-4000-8000-000000000000.local",
    "127.0.0.1.example",
    "user@127.0.0.1",
    "127.0.0.1%lo",
    "①27.0.0.1",
)

Line = Callable[[str, int, int], str]
LINES: dict[str, Line] = {
    "host": lambda ip, udp, tcp: f"a=candidate:1 1 udp 2130706431 {ip} {udp} typ host",
    "srflx": lambda ip, udp, tcp: f"a=candidate:2 1 UDP 1694498815 {ip} {udp} typ srflx raddr {ip} rport {udp}",
    "relay": lambda ip, udp, tcp: f"a=candidate:3 1 udp 16777215 {ip} {udp} typ relay raddr 0.0.0.0 rport 0",
    "tcp": lambda ip, udp, tcp: f"a=candidate:4 1 tcp 1518280447 {ip} {tcp} typ host tcptype passive",
    "remote": lambda ip, udp, tcp: f"a=remote-candidates:1 {ip} {udp}",
}
Place = Callable[[str, str], str]
PLACES: dict[str, Place] = {
    "at session level": lambda offer, line: offer.replace("m=audio", f"{line}\r\nm=audio", 1),
    "in every section": lambda offer, line: offer.replace("a=mid", f"{line}\r\na=mid"),
    "after the end": lambda offer, line: f"{offer}a=end-of-candidates\r\n{line}\r\n",
    "behind a vertical tab": lambda offer, line: offer.replace("a=rtcp-mux", f"a=rtcp-mux\v{line}"),
    "behind a separator": lambda offer, line: offer.replace("a=rtcp-mux", f"a=rtcp-mux\u2028{line}"),
    "with line feeds": lambda offer, line: offer.replace("a=mid", f"\n{line}\na=mid").replace("\r\n", "\n"),
    "with blanks": lambda offer, line: offer.replace("a=mid", f" {line} \r\na=mid"),
}
OTHERWISE: dict[str, Callable[[str, int, int], str]] = {
    "as the section's address": lambda offer, udp, tcp: "\r\n".join(
        f"m=video {udp} {line.split(' ', 2)[2]}"
        if line.startswith("m=video")
        else "c=IN IP4 127.0.0.1"
        if line.startswith("c=")
        else line
        for line in offer.split("\r\n")
    ),
    "as the origin": lambda offer, udp, tcp: offer.replace("s=-", "s=-\r\nc=IN IP4 127.0.0.1", 1),
    "for RTCP": lambda offer, udp, tcp: offer.replace("a=rtcp-mux", f"a=rtcp-mux\r\na=rtcp:{udp} IN IP4 127.0.0.1"),
    "as an ICE-lite peer": lambda offer, udp, tcp: offer.replace(
        "s=-", f"s=-\r\na=ice-lite\r\na=candidate:1 1 udp 1 127.0.0.1 {udp} typ host", 1
    ),
    "to be trickled": lambda offer, udp, tcp: offer.replace(
        "a=mid", f"a=ice-options:trickle\r\na=candidate:1 1 udp 1 127.0.0.1 {udp} typ host\r\na=mid"
    ),
}


@dataclass
class Listener:
    """Hears everything on one UDP and one TCP port of 127.0.0.1, 127.0.0.2 and ::1, that were nobody's before: what is
    still sent to somebody who has gone is no answer to a lure."""

    udp: int
    tcp: int
    heard: list[str] = field(default_factory=list)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    loop, listener, closing = asyncio.get_running_loop(), Listener(udp=free_port(), tcp=free_port()), []

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            listener.heard.append("udp")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.heard.append("tcp")
        writer.close()

    for host in ("127.0.0.1", "127.0.0.2", "::1"):
        with suppress(OSError):  # no IPv6 here
            closing.append((await loop.create_datagram_endpoint(Ear, local_addr=(host, listener.udp)))[0])
            closing.append(await asyncio.start_server(answer, host, listener.tcp))
    try:
        yield listener
    finally:
        for one in closing:
            one.close()


def forms(offer: str, listener: Listener) -> dict[str, str]:
    """Every address in a few shapes, every shape in every place."""
    lured = {
        f"{address} {shape} {where}": place(offer, line(address, listener.udp, listener.tcp))
        for number, address in enumerate(ADDRESSES)
        for (shape, line), (where, place) in itertools.islice(
            itertools.cycle(itertools.product(LINES.items(), PLACES.items())), number * 3, number * 3 + 3
        )
    }
    lured |= {
        f"127.0.0.1 {shape} {where}": place(offer, line("127.0.0.1", listener.udp, listener.tcp))
        for (shape, line), (where, place) in itertools.product(LINES.items(), PLACES.items())
    }
    return lured | {where: change(offer, listener.udp, listener.tcp) for where, change in OTHERWISE.items()}


async def publish(offer: str) -> peer.Publication | None:
    with suppress(peer.PeerError):
        return await peer.publish(offer, kinds=BOTH, stream=StreamKind.CAMERA, offer_addresses=HERE, sink=Collected())
    return None


async def test_a_hundred_offers_that_lure_reach_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    resolve = socket.getaddrinfo

    def looked_up(host: str | None, *more: object, **named: object) -> object:
        asked.append(host)
        return resolve(host, *more, **named)  # type: ignore[arg-type]

    pc, _, _, offer = await offering()
    async with listening() as listener:
        lured = forms(offer, listener)
        assert len(lured) >= 100
        monkeypatch.setattr(socket, "getaddrinfo", looked_up)
        publications = [await publish(one) for one in lured.values()]
        made = [one for one in publications if one is not None]
        assert len(made) >= 100, "it is taken out, not refused: Firefox and Chromium send such in good faith"
        assert {one for one in asked if one not in (*HERE, "0.0.0.0", None)} == set(), "no name is looked up"
        await asyncio.sleep(WAIT_S)
        assert listener.heard == []
        for one in made:
            await one.close()
    await pc.close()


async def test_the_lure_works_on_who_does_not_take_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would see."""
    monkeypatch.setattr(sdp, "prepare_offer", lambda offer, addresses: offer.replace("actpass", "active"))
    pc, _, _, offer = await offering()
    async with listening() as listener:
        lured = PLACES["in every section"](offer, LINES["host"]("127.0.0.1", listener.udp, listener.tcp))
        publication = await publish(lured)
        assert publication is not None
        await until(lambda: listener.heard, "a packet")
        await publication.close()
    await pc.close()
