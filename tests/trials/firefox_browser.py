"""Firefox as it is installed, without a window, driven by WebDriver BiDi (W3C).

Playwright speaks a protocol of its own that needs its own build of Firefox, so what is needed of BiDi stands here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.fixtures.ports import free_port

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox") or ""
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,  # nobody is asked
    "permissions.default.camera": 1,  # allowed, as if asked: without, ICE keeps to the address of the default route
    "permissions.default.microphone": 1,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.autoplay.default": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.normandy.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
PATIENCE_S = 60.0
BUTTON = (
    "[...document.querySelectorAll('button:enabled')].find((one) => one.textContent.trim() == %s && one.offsetParent)"
)
TWO_PEERS = """
(async () => {
    const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()];
    one.createDataChannel("any");
    const ended = new Promise((done) => {
        one.onconnectionstatechange = () => ["connected", "failed"].includes(one.connectionState) && done();
        setTimeout(done, 15_000);
    });
    for (const [from, to] of [[one, other], [other, one]])
        from.onicecandidate = ({ candidate }) => candidate?.address == "127.0.0.1" && to.addIceCandidate(candidate);
    await one.setLocalDescription();
    await other.setRemoteDescription({ type: "offer", sdp: one.localDescription.sdp });
    await other.setLocalDescription();
    await one.setRemoteDescription({ type: "answer", sdp: other.localDescription.sdp });
    await ended;
    const connected = one.connectionState == "connected";
    one.close();
    other.close();
    return connected;
})()
"""


class Firefox:
    """One window."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._ids = socket, count(1)
        self._window = ""
        self.version = ""

    async def begin(self) -> None:
        self.version = (await self._do("session.new", capabilities={}))["capabilities"]["browserVersion"]
        self._window = (await self._do("browsingContext.getTree"))["contexts"][0]["context"]

    async def reaches_itself(self) -> bool:
        """Whether two peers of one page connect on 127.0.0.1, which needs nothing but Firefox and this machine."""
        return bool(await self.value(TWO_PEERS))

    async def take(self, cookies: CookieJar) -> None:
        """Sign in as whoever has them."""
        for one in cookies:
            value = {"type": "string", "value": one.value or ""}
            await self._do(
                "storage.setCookie", cookie={"name": one.name, "value": value, "domain": "localhost", "path": one.path}
            )

    async def goto(self, url: str) -> None:
        await self._do("browsingContext.navigate", context=self._window, url=url, wait="complete")

    async def value(self, expression: str) -> Any:
        done = await self._do(
            "script.evaluate", expression=expression, target={"context": self._window}, awaitPromise=True
        )
        assert done["type"] == "success", done
        return done["result"].get("value")

    async def comes(self, expression: str) -> None:
        """Waits until it is true."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await self.value(f"Boolean({expression})"):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            shown = await self.value("document.body.innerText")
            raise AssertionError(f"did not come: {expression}; the page says: {shown}") from None

    async def press(self, name: str) -> None:
        button = BUTTON % json.dumps(name)
        await self.comes(button)
        await self.value(f"{button}.click()")

    async def _do(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await asyncio.wait_for(self._socket.recv(), PATIENCE_S))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]


@asynccontextmanager
async def firefox(folder: Path) -> AsyncIterator[Firefox]:
    """folder: of a profile of its own, made here."""
    folder.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("".join(lines))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        FIREFOX, "--headless", "--no-remote", "--profile", str(folder), f"--remote-debugging-port={port}",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        async with await _connected(f"ws://127.0.0.1:{port}/session") as socket:
            browser = Firefox(socket)
            await browser.begin()
            yield browser
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _connected(url: str) -> ClientConnection:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(OSError):
                return await connect(url, max_size=None, proxy=None)
            await asyncio.sleep(0.2)
