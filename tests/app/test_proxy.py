"""deploy/Caddyfile on the real Caddy as TLS proxy, and which proxy the application believes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from app.settings import Settings, SettingsError
from tests.fixtures.ports import free_ports

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 60
needs_caddy = pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed (apt install caddy)")


class Upstream:
    """What stands behind the proxy: tells what reached it, in the shapes that a proxy may spoil."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            said = await receive()
            await send({"type": "websocket.send", "text": said["text"].upper()})
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        told = {"client": scope["client"][0], "scheme": scope["scheme"], "for": headers.get("x-forwarded-for", "")}
        kind = b"text/event-stream" if scope["path"] == "/events" else b"application/json"
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
        if scope["path"] == "/upload":  # read before the answer begins: Go's server may end the request's body then
            first = await receive()
            told["first"] = len(first["body"])
            self.go_on.set()
            while first.get("more_body"):
                first = await receive()
        await send(start)
        if scope["path"] == "/events":
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await self.go_on.wait()
            await send({"type": "http.response.body", "body": b"data: 2\n\n"})
            return
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})


@asynccontextmanager
async def serving(app: Any, port: int, proxies: tuple[str, ...]) -> AsyncIterator[None]:
    """As `junier web` does it."""
    config = uvicorn.Config(
        app,
        port=port,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not server.started:
                await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize(
    ("proxies", "seen"),
    [
        (Settings().proxies, "198.51.100.7"),
        (("10.0.0.9",), "127.0.0.1"),  # the proxy is elsewhere: who comes from here and says so lies
        ((), "127.0.0.1"),
    ],
)
async def test_only_the_named_proxy_says_who_somebody_is(proxies: tuple[str, ...], seen: str) -> None:
    [port] = free_ports(1)
    async with (
        serving(Upstream(), port, proxies),
        httpx.AsyncClient(trust_env=False, timeout=LIMIT_SECONDS) as client,
    ):
        forged = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
        told = (await client.get(f"http://127.0.0.1:{port}/", headers=forged)).json()
    assert told["client"] == seen
    assert told["scheme"] == ("https" if seen == "198.51.100.7" else "http")


@pytest.mark.parametrize("everyone", ["0.0.0.0/0", "::/0", "*", "127.0.0.1,proxy.example"])
def test_nobody_can_believe_everyone(everyone: str) -> None:
    with pytest.raises(SettingsError, match="JUNIER_TRUSTED_PROXIES"):
        Settings.from_env({"JUNIER_TRUSTED_PROXIES": everyone})


@dataclass(frozen=True)
class Proxy:
    """Caddy before a port where nothing need run yet."""

    origin: str
    upstream: int
    in_clear: str
    log: Path
    authority: ssl.SSLContext


def _shakes_hands(port: int, root: Path) -> ssl.SSLContext | None:
    """Its authority as soon as it shows a certificate of it: the file lies there before Caddy uses it."""
    try:
        authority = ssl.create_default_context(cafile=str(root))
        with socket.create_connection(("localhost", port), LIMIT_SECONDS) as plain:
            authority.wrap_socket(plain, server_hostname="localhost").close()
    except OSError:  # ssl.SSLError is one, too
        return None
    return authority


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """deploy/Caddyfile as it is; for localhost Caddy is its own authority, and port 80 is another one here."""
    public, upstream, clear = free_ports(3)
    config = tmp_path / "Caddyfile"
    alone = f"\tadmin off\n\thttp_port {clear}\n\tskip_install_trust\n\tstorage file_system {tmp_path}\n"
    text = (ROOT / "deploy/Caddyfile").read_text()
    assert text.count("\tadmin off\n") == 1
    config.write_text(text.replace("\tadmin off\n", alone))
    told = {
        "JUNIER_PUBLIC_URL": f"https://localhost:{public}",
        "JUNIER_LISTEN_PORT": str(upstream),
        "JUNIER_PLATFORM_CONTACT": "help@platform.example",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **told}
    with (tmp_path / "log").open("wb") as log:
        command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    root = tmp_path / "pki/authorities/local/root.crt"
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (authority := _shakes_hands(public, root)):
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield Proxy(told["JUNIER_PUBLIC_URL"], upstream, f"http://localhost:{clear}", tmp_path / "log", authority)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_SECONDS)


@needs_caddy
async def test_pages_streams_and_sockets_go_through_unspoiled(proxy: Proxy) -> None:
    behind = Upstream()
    async with (
        serving(behind, proxy.upstream, Settings().proxies),
        httpx.AsyncClient(verify=proxy.authority, trust_env=False, timeout=LIMIT_SECONDS) as client,
    ):
        forged = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "http"}
        told = (await client.get(f"{proxy.origin}/", headers=forged)).json()
        assert told == {"client": "127.0.0.1", "scheme": "https", "for": "127.0.0.1"}  # what was forged is gone

        async with client.stream("GET", f"{proxy.origin}/events") as events:
            pieces = events.aiter_bytes()
            assert (
                await asyncio.wait_for(anext(pieces), LIMIT_SECONDS) == b"data: 1\n\n"
            )  # before the second one is made
            behind.go_on.set()
            assert await asyncio.wait_for(anext(pieces), LIMIT_SECONDS) == b"data: 2\n\n"

        behind.go_on.clear()

        async def body() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            await behind.go_on.wait()  # only set when the first piece has come through
            yield b"y" * 1000

        async with asyncio.timeout(LIMIT_SECONDS):
            assert (await client.post(f"{proxy.origin}/upload", content=body())).json()["first"] == 1000

        url = proxy.origin.replace("https", "wss") + "/room"
        async with connect(url, ssl=proxy.authority, proxy=None) as room:
            await room.send("hello")
            assert await asyncio.wait_for(room.recv(), LIMIT_SECONDS) == "HELLO"


@needs_caddy
async def test_browsers_get_http_2_and_are_told_of_http_3(proxy: Proxy) -> None:
    offered = ssl.create_default_context(cadata=None)
    offered.load_verify_locations(cadata=_pem(proxy))
    offered.set_alpn_protocols(["h2", "http/1.1"])
    port = int(proxy.origin.rsplit(":", 1)[1])
    _, writer = await asyncio.open_connection("localhost", port, ssl=offered, server_hostname="localhost")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()
    async with (
        serving(Upstream(), proxy.upstream, Settings().proxies),
        httpx.AsyncClient(verify=proxy.authority, trust_env=False, timeout=LIMIT_SECONDS) as client,
    ):
        assert "h3=" in (await client.get(proxy.origin)).headers["alt-svc"]


@needs_caddy
async def test_in_clear_people_are_led_on_and_programs_are_refused(proxy: Proxy) -> None:
    async with httpx.AsyncClient(base_url=proxy.in_clear, trust_env=False, timeout=LIMIT_SECONDS) as client:
        led = await client.get("/sign-in?next=/studies")
        assert led.status_code == 308 and led.headers["location"] == f"{proxy.origin}/sign-in?next=/studies"
        refused = [
            await client.post("/sign-in", data={"email": "anna@home.example"}),
            await client.post("/whip", content="v=0", headers={"Authorization": "Bearer x"}),
            await client.get("/whip"),
            await client.get("/my-data", headers={"Authorization": "Bearer x"}),
            await client.delete("/whip/x"),
        ]
        assert [(one.status_code, "location" in one.headers) for one in refused] == [(403, False)] * len(refused)


def _pem(proxy: Proxy) -> str:
    return (proxy.log.parent / "pki/authorities/local/root.crt").read_text()


@needs_caddy
async def test_requests_wait_while_web_restarts(proxy: Proxy) -> None:
    async with httpx.AsyncClient(verify=proxy.authority, trust_env=False, timeout=LIMIT_SECONDS) as client:
        asked = asyncio.create_task(client.get(f"{proxy.origin}/"))
        await asyncio.sleep(0.5)
        assert not asked.done()
        async with serving(Upstream(), proxy.upstream, Settings().proxies):
            assert (await asked).status_code == 200


@needs_caddy
async def test_its_log_names_neither_the_link_nor_who_asked(proxy: Proxy) -> None:
    """A request that fails is what Caddy logs with everything it knows."""
    secret = "s3cr3tlink"

    async def falls(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        raise ConnectionError

    async with (
        serving(falls, proxy.upstream, Settings().proxies),
        httpx.AsyncClient(verify=proxy.authority, trust_env=False, timeout=LIMIT_SECONDS) as client,
    ):
        with pytest.raises(httpx.HTTPError):
            await client.get(f"{proxy.origin}/i/{secret}", headers={"User-Agent": secret, "Cookie": f"login={secret}"})
    deadline = time.monotonic() + LIMIT_SECONDS
    while "http.handlers.reverse_proxy" not in proxy.log.read_text():
        assert time.monotonic() < deadline, "Caddy logged nothing, so this proves nothing"
        await asyncio.sleep(0.05)
    text = proxy.log.read_text()
    assert secret not in text and "remote_ip" not in text
