"""A browser that reaches nothing but a TURN server is recorded all the same; the relay serves nobody else."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aioice import stun, turn

from app.room.ice import CREDENTIAL_LIFE, ice_servers
from app.settings import Settings
from tests.fixtures.ports import free_port
from tests.journeys.browser import FAKE_SCREEN, Window, chromium, until
from tests.journeys.quick import recording_room, served, stored

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("turnserver") is None, reason="turnserver (Debian: coturn) is not installed"),
]

ROOT = Path(__file__).parents[2]
SECRET = "known to the relay and to us"
KEEP_PEERS = """
window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...all) { super(...all); window.peers.push(this); }
};
"""
OWN_CANDIDATES = """async () => {
  const stats = await Promise.all(window.peers.map(async (peer) => [...(await peer.getStats()).values()]));
  return stats.flat().filter((one) => one.type === "local-candidate").map((one) => one.candidateType);
}"""


async def test_a_browser_that_must_use_the_relay_is_recorded(data_dir: Path, tmp_path: Path) -> None:
    port = free_port()
    settings = {"turn_urls": f"turn:127.0.0.1:{port}?transport=tcp", "turn_secret": SECRET, "turn_only": True}
    async with (
        relay(port, tmp_path),
        recording_room(data_dir, **settings) as (owner, guest),
        chromium(FAKE_SCREEN) as browser,
    ):
        mia = await Window.open(browser)
        await mia.context.add_cookies(
            [
                {"name": c.name, "value": c.value or "", "url": guest.browser.origin}
                for c in guest.browser.http.cookies.jar
            ]
        )
        await mia.page.add_init_script(KEEP_PEERS)
        await mia.page.goto(f"{guest.browser.origin}/rooms/{owner.session}")
        await mia.press("I am ready")
        await mia.recording_says("Recording: video and voice")
        assert set(await mia.page.evaluate(OWN_CANDIDATES)) == {"relay"}

        told = (await guest.browser.http.get(f"/rooms/{owner.session}/ice")).json()
        expires = int(told["iceServers"][0]["username"].partition(":")[0])
        assert time.time() < expires <= time.time() + 600
        assert guest.name not in str(told)
        assert SECRET not in str(told)

        await until(lambda: stored(owner), "five seconds in the store")
        await owner.lead("end")
        seen = await served(owner)
        assert seen["video"] > 10  # a busy machine sends few pictures
        assert seen["audio"] > 100
        assert mia.faults == []


async def test_the_relay_serves_ten_minutes_and_reaches_nothing_but_the_media_server(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(turn_urls=f"turn:127.0.0.1:{port}", turn_secret=SECRET)
    now = datetime.now(UTC)
    async with relay(port, tmp_path):
        [fresh] = ice_servers(settings, session=uuid4(), now=now)
        async with allocated(port, fresh.username, fresh.credential) as ask:
            await ask.channel_bind(0x4000, ("127.0.0.1", 9))
            for elsewhere in ("10.0.0.1", "169.254.169.254", "203.0.113.7", "127.0.0.2"):
                with pytest.raises(stun.TransactionFailed) as refused:
                    await ask.channel_bind(0x4001, (elsewhere, 80))
                assert refused.value.response.attributes["ERROR-CODE"][0] == 403, elsewhere
        [stale] = ice_servers(settings, session=uuid4(), now=now - CREDENTIAL_LIFE - timedelta(seconds=5))
        for username, password in ((stale.username, stale.credential), (fresh.username, "guessed")):
            with pytest.raises(stun.TransactionFailed) as refused:
                async with allocated(port, username, password):
                    pass
            assert refused.value.response.attributes["ERROR-CODE"][0] == 401


@asynccontextmanager
async def allocated(port: int, username: str, password: str) -> AsyncIterator[turn.TurnClientUdpProtocol]:
    """A place at the relay, as a browser asks for one."""
    transport, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol, server_addr=("127.0.0.1", port), username=username, password=password
    )
    try:
        yield transport._TurnTransport__inner_protocol  # its channel_bind has no public name
    finally:
        transport.close()


@asynccontextmanager
async def relay(port: int, folder: Path) -> AsyncIterator[None]:
    """Debian's coturn as deployed: credentials that expire, and no peer but the media server."""
    arguments = [
        "-c", str(ROOT / "deploy" / "coturn.conf"), f"--listening-port={port}", "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1", "--no-tls", "--no-dtls", f"--static-auth-secret={SECRET}", "--realm=junier",
        "--allow-loopback-peers", "--allowed-peer-ip=127.0.0.1", "--log-file=stdout",
        f"--userdb={folder / 'turn.db'}", f"--pidfile={folder / 'turn.pid'}",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        "turnserver", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: accepts(port), "the relay's port")
        yield
    finally:
        process.terminate()
        await process.wait()


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
