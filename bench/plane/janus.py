"""Janus (Debian package `janus`) as the other recorder: VideoRoom with `record`, led by its HTTP API.

Janus leaves loopback out when it gathers candidates, so it is measured on this machine's own address, which the
kernel delivers the same way.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.plane.exchange import Offer

READY_WITHIN_S = 10.0
ROOM = 4321
_PLUGIN = "janus.plugin.videoroom"
_CORE = """
general: {{ configs_folder = "{folder}" plugins_folder = "{plugins}/plugins" transports_folder = "{plugins}/transports"
  events_folder = "{folder}" loggers_folder = "{folder}" debug_level = 3 protected_folders = []
  server_name = "bench" }}
nat: {{ ice_enforce_list = "{address}" }}
plugins: {{ disable = "{others}" }}
transports: {{ disable = "libjanus_pfunix.so,libjanus_websockets.so,libjanus_mqtt.so,libjanus_rabbitmq.so" }}
"""
_HTTP = 'general: {{ json = "plain" base_path = "/janus" http = true port = {port} ip = "127.0.0.1" https = false }}'


class Janus:
    """A running server and the folder it records into. address: of its media."""

    def __init__(self, process: subprocess.Popen[bytes], client: httpx.AsyncClient, address: str, folder: Path) -> None:
        self._process, self._client = process, client
        self.pid, self.address, self.recorded = process.pid, address, folder
        self._sessions: list[int] = []
        self._keeping: asyncio.Task[None] | None = None

    async def answer(self, number: int, offer: Offer) -> str:
        """A publisher joins the room that is recorded."""
        session, handle = await self._attach()
        body = {"request": "joinandconfigure", "room": ROOM, "ptype": "publisher", "display": str(number)}
        jsep = {"type": "offer", "sdp": offer.sdp}
        await self._post(f"/{session}/{handle}", {"janus": "message", "body": body, "jsep": jsep})
        while True:
            event = (await self._client.get(f"/{session}", params={"maxev": 1})).json()
            if "jsep" in event:
                return str(event["jsep"]["sdp"])
            if event["janus"] == "error":
                raise RuntimeError(f"Janus: {event}")

    async def open_room(self) -> None:
        while True:
            with suppress(httpx.TransportError):
                session, handle = await self._attach()
                break
            if self._process.poll() is not None:
                raise RuntimeError("Janus ended.")
            await asyncio.sleep(0.1)
        room = {"request": "create", "room": ROOM, "publishers": 100, "record": True, "rec_dir": str(self.recorded)}
        room |= {"bitrate": 0, "audiocodec": "opus", "videocodec": "vp8", "permanent": False}
        await self._post(f"/{session}/{handle}", {"janus": "message", "body": room})
        self._keeping = asyncio.create_task(self._keep_alive())

    async def close(self) -> None:
        """Its publishers have left: the files are whole."""
        if self._keeping:
            self._keeping.cancel()
        for session in self._sessions:
            await self._post(f"/{session}", {"janus": "destroy"})
        await asyncio.sleep(0.5)
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 10)

    async def _attach(self) -> tuple[int, int]:
        session = (await self._post("", {"janus": "create"}))["data"]["id"]
        self._sessions.append(session)
        return session, (await self._post(f"/{session}", {"janus": "attach", "plugin": _PLUGIN}))["data"]["id"]

    async def _post(self, path: str, message: dict[str, Any]) -> Any:
        answer = await self._client.post(path, json=message | {"transaction": secrets.token_hex(6)})
        return answer.raise_for_status().json()

    async def _keep_alive(self) -> None:
        """A session nobody asks for ends after a minute."""
        while True:
            await asyncio.sleep(20)
            for session in self._sessions:
                await self._post(f"/{session}", {"janus": "keepalive"})


def installed() -> str | None:
    """Its version, None where the package is not installed."""
    program = shutil.which("janus")
    if program is None or own_address() is None:
        return None
    told = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "janus"], capture_output=True, text=True, check=False
    )
    return told.stdout or "of unknown version"


def own_address() -> str | None:
    """An IPv4 address of this machine that is not loopback; None without any."""
    for name, state in psutil.net_if_stats().items():
        for one in psutil.net_if_addrs().get(name, []) if state.isup else []:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    return None


@asynccontextmanager
async def janus(folder: Path) -> AsyncIterator[Janus]:
    settings, recorded, address = folder / "settings", folder / "recorded", own_address() or ""
    settings.mkdir(parents=True)
    recorded.mkdir()
    port = _free_port()
    modules = next(Path("/usr/lib").glob("*/janus/plugins")).parent
    others = [file.name for file in (modules / "plugins").glob("*.so") if file.name != "libjanus_videoroom.so"]
    core = _CORE.format(folder=settings, plugins=modules, address=address, others=",".join(others))
    (settings / "janus.jcfg").write_text(core)
    (settings / "janus.transport.http.jcfg").write_text(_HTTP.format(port=port))
    with (folder / "janus.log").open("wb") as log:
        process = subprocess.Popen(["janus", "-F", str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/janus", trust_env=False, timeout=30) as client:
        server = Janus(process, client, address, recorded)
        try:
            await asyncio.wait_for(server.open_room(), READY_WITHIN_S)
            yield server
            await server.close()
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
