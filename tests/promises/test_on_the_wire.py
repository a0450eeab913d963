"""R3-10: everything that crosses the network in a session, taken down byte by byte, and nothing of it can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, quote_plus, urlsplit

import httpx
from sqlalchemy import select

from app.accounts.login import cookie_name
from app.database import Database
from app.invitations.service import invite
from app.main import create_app
from app.room.permission import push_loop
from app.sessions.models import Recording, RecordingState
from app.settings import Settings
from recordings.model import RecordingId
from tests.app import test_proxy
from tests.app.loopback import Encoded, accept, offering, until
from tests.app.room_stage import Stage, as_, media, patient, stage
from tests.app.test_proxy import Proxy, needs_caddy, proxy  # noqa: F401  the real Caddy with deploy/Caddyfile
from tests.fixtures.bad_network import Address, BadNetwork, Weather
from workers.finalise import finalise

NAME, EMAIL, NOTE = "Kanarienvogel", "kanarienvogel@people.example", "She hesitates at the canary-yellow button"
PIXELS = b"the pixels of a canary "
PICTURE = b"\x10\x02\x00\x9d\x01\x2a\xa0\x00\x78\x00" + PIXELS * 20
"""A VP8 key frame of 160 by 120 (RFC 6386 section 9.1) whose data can be told again."""


@dataclass
class Tapped:
    """A way on which everything is taken down."""

    heard: bytearray = field(default_factory=bytearray)

    def clear(self, *canaries: str | bytes) -> list[str]:
        """Which of these can be read here, as they are or as a form or an address spells them."""
        words = [one.decode() if isinstance(one, bytes) else one for one in canaries]
        return [w for w in words if any(s.encode() in self.heard for s in (w, quote(w), quote_plus(w)))]


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[tuple[int, Tapped]]:
    """A TCP relay to this port of our own machine, and what went through it, both ways."""
    tap = Tapped()

    async def pump(come: asyncio.StreamReader, go: asyncio.StreamWriter) -> None:
        try:
            while piece := await come.read(65536):
                tap.heard += piece
                go.write(piece)
                await go.drain()
        except ConnectionError:
            pass
        finally:
            go.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], tap
    finally:
        server.close()


class TappedNetwork(BadNetwork):
    """Fair weather, every datagram taken down."""

    def __init__(self) -> None:
        super().__init__(Weather())
        self.tap = Tapped()

    def _from_peer(self, data: bytes, address: Address) -> None:
        self.tap.heard += data
        super()._from_peer(data, address)

    def _from_server(self, data: bytes, address: Address) -> None:
        self.tap.heard += data
        super()._from_server(data, address)


@asynccontextmanager
async def behind(caddy: Proxy, scene: Stage) -> AsyncIterator[None]:
    """The web process where the proxy expects it."""
    node = patient(scene.wiring.settings)
    app = create_app(scene.wiring, background=[push_loop(node)], node_client=node)
    async with app.lifespan(), test_proxy.serving(cast(Any, app), caddy.upstream, Settings().proxies):
        yield
    await node.close()


async def captured(scene: Stage) -> RecordingId:
    """The one recording, once all of it is stored."""
    async with asyncio.timeout(90):
        while True:
            async with scene.wiring.database.transaction(scene.account) as db:
                [row] = await db.scalars(select(Recording))
            if row.state == RecordingState.CAPTURED:
                return RecordingId(row.id)
            await asyncio.sleep(0.05)


@needs_caddy
async def test_r3_10_nothing_of_a_session_can_be_read_on_its_way(
    database: Database,
    tmp_path: Path,
    proxy: Proxy,  # noqa: F811
) -> None:
    scene = await stage(database, tmp_path)
    settings = replace(scene.wiring.settings, public_url=proxy.origin)
    scene = replace(scene, wiring=replace(scene.wiring, settings=settings))
    async with database.transaction(scene.account) as db:
        invited = await invite(
            db, scene.wiring, account=scene.account, session=scene.session, name=NAME, email=EMAIL, by=scene.owner
        )
    secret = urlsplit(invited.link).path
    cookie = await scene.cookie(member=scene.owner)
    await scene.open("open_room", "start_recording")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(media(scene.wiring))
        await stack.enter_async_context(behind(proxy, scene))
        port, wire = await stack.enter_async_context(tapped(int(proxy.origin.rpartition(":")[2])))
        network = await stack.enter_async_context(TappedNetwork())
        headers = {"host": urlsplit(proxy.origin).netloc, "origin": proxy.origin}
        origin = f"https://localhost:{port}"
        told: dict[str, Any] = {"headers": headers, "trust_env": False, "timeout": test_proxy.LIMIT_SECONDS}
        client = httpx.AsyncClient(base_url=origin, verify=proxy.authority, **told)
        http = await stack.enter_async_context(client)
        owner = as_(scene, cookie)

        came = await http.post(secret, data={"name": NAME, "email": EMAIL})
        assert came.status_code == 303
        guest = {"cookie": f"{cookie_name(settings)}={came.cookies[cookie_name(settings)]}"}
        http.cookies.clear()
        agreed = await http.post(f"/take-part/{scene.session}", data={"consent": ["video", "audio"]}, headers=guest)
        assert agreed.status_code == 303
        assert (await http.post(f"/rooms/{scene.session}/admit/{invited.participant}", headers=owner)).is_success
        assert (await http.post(f"/sessions/{scene.session}/notes", data={"text": NOTE}, headers=owner)).is_success
        token = (await http.post(f"/rooms/{scene.session}/token", data={"stream": "camera"}, headers=guest)).json()
        pc, _camera, _voice, offer = await offering("VP8", Encoded([PICTURE]))
        stack.push_async_callback(pc.close)
        bearer = {"authorization": f"Bearer {token['token']}", "content-type": "application/sdp"}
        made = await http.post("/whip", content=offer, headers=bearer)
        assert made.status_code == 201, made.text
        await accept(pc, network.between(made.text))
        await until(lambda: network.passed > 40 and len(network.tap.heard) > 20_000, "some pictures and sound")
        assert (await http.delete(made.headers["location"], headers=bearer)).status_code == 200
        page = await http.get(f"/sessions/{scene.session}", headers=owner)
        assert NAME in page.text

        recording = await captured(scene)
        await finalise(scene.wiring, scene.account, recording)
        played = await http.get(f"/recordings/{recording}/media", headers=owner)
        assert PIXELS * 20 in played.content, "the pictures crossed the network, in both directions"

        link = secret.rpartition("/")[2]
        secrets = (NAME, EMAIL, NOTE, PIXELS, link, cookie, token["token"], "How people cook", "<html")
        assert len(wire.heard) > 20_000 and wire.clear(*secrets) == []
        assert len(network.tap.heard) > 10_000 and network.tap.clear(*secrets) == []

        port, bare = await stack.enter_async_context(tapped(proxy.upstream))  # the same tap where there is no TLS
        async with httpx.AsyncClient(base_url=f"http://localhost:{port}", **told) as plain:
            await plain.post(secret, data={"name": NAME, "email": EMAIL})
        assert set(bare.clear(*secrets)) >= {NAME, EMAIL, link}, "the tap reads what can be read"
