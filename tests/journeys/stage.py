"""A deployment for journeys: PostgreSQL, S3 and SMTP run, our processes are started by the test as compose would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller

from app.demo.browser import DeadEnd
from app.demo.clips import Clip
from app.demo.people import CODE, LINK
from recordings.storage.layout import SERVING
from tests.app.room_stage import patient
from tests.fixtures.ports import free_ports
from tests.fixtures.weed import Weed
from tests.journeys.deployment import LIMIT_SECONDS, Deployment, compose, postgres

PARTS = ("web", "media", "worker", "transcriber")
OWNER = "ada@studio.example"
FILLED_IN = {
    "JUNIER_PUBLIC_URL": "https://sessions.example.eu",
    "JUNIER_PLATFORM_CONTACT": "help@sessions.example.eu",
    "JUNIER_MAIL_FROM": "sessions@sessions.example.eu",
    "JUNIER_MEDIA_ADDRESSES": "203.0.113.5",
    "JUNIER_COUNTRY": "DE",
    "JUNIER_S3_ACCESS_KEY": "access",
    "JUNIER_S3_SECRET_KEY": "secret",
    "JUNIER_NODE_SECRET": "a-node-secret",
    "POSTGRES_PASSWORD": "the-superuser",
    "JUNIER_OWNER_PASSWORD": "the'owner",
    "JUNIER_APP_PASSWORD": "the-app",
}
"""The least an operator writes into .env."""


@dataclass
class Mailbox:
    """Everybody's mailbox: what came in by SMTP. refused: addresses that it does not take just now."""

    came: list[tuple[list[str], str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return f"451 {address} is over quota, try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        body = message_from_bytes(envelope.content, policy=default).get_body(("plain",))
        assert body is not None
        self.came.append((envelope.rcpt_tos, str(body.get_content())))
        return "250 accepted"

    def newest(self, address: str, pattern: re.Pattern[str], containing: str = "") -> str:
        """The newest match in mails to `address`. Raises DeadEnd."""
        for to, text in reversed(self.came):
            for found in pattern.findall(text) if address in to else ():
                if containing in found:
                    return str(found)
        raise DeadEnd(f"no {containing or 'code'} mailed to {address}")

    async def link(self, address: str, part: str) -> str:
        return self.newest(address, LINK, part)

    async def code(self, address: str) -> str:
        return self.newest(address, CODE)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    [port] = free_ports(1)
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    yield box, port
    controller.stop()


@pytest.fixture
def deployment(data_dir: Path, weed: Weed, mailbox: tuple[Mailbox, int]) -> Iterator[Deployment]:
    """Database, objects and mail are there; nothing of ours runs yet. The bucket keeps versions."""
    nobody_is_served(weed)
    web, media, database, *private = free_ports(7)
    services = compose(
        FILLED_IN
        | {
            "JUNIER_PUBLIC_URL": f"http://localhost:{web}",
            "JUNIER_LISTEN_PORT": str(web),
            "JUNIER_NODE_URL": f"http://127.0.0.1:{media}",
            "JUNIER_MEDIA_ADDRESSES": "127.0.0.1",
            "JUNIER_S3_ENDPOINT": weed.endpoint,
            "JUNIER_S3_REGION": weed.region,
            "JUNIER_S3_BUCKET": weed.versioned,
            "JUNIER_S3_ACCESS_KEY": weed.access_key,
            "JUNIER_S3_SECRET_KEY": weed.secret,
            "JUNIER_MAIL": "smtp",
            "JUNIER_SMTP_HOST": "127.0.0.1",
            "JUNIER_SMTP_PORT": str(mailbox[1]),
            "JUNIER_SMTP_TLS": "none",
            "JUNIER_SPEECH_MODEL": "",  # the packaged one, which the tests have
            "JUNIER_MEDIA_PORTS": "42000-42999",
        }
    )
    made = Deployment(
        services=services, folder=data_dir, database_port=database, private_ports=dict(zip(PARTS, private, strict=True))
    )
    with ExitStack() as cleanup:
        cleanup.enter_context(postgres(services["postgres"], data_dir, database))
        cleanup.callback(made.stop)
        yield made


def nobody_is_served(weed: Weed) -> None:
    """The deployment of the test before has ended, and its word that it is served would hold for a while yet."""
    client = weed.client()
    found = client.list_object_versions(Bucket=weed.versioned, Prefix=SERVING)
    for one in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
        client.delete_object(Bucket=weed.versioned, Key=one["Key"], VersionId=one["VersionId"])


async def taken_in(deployment: Deployment, session: str) -> None:
    """Until the media process is connected with the newest take: what is sent to it sooner is lost, as in a call."""
    settings = deployment.settings()
    client = patient(settings)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                streams = (await client.facts(settings.node_url, UUID(session))).streams
                if streams and max(streams, key=lambda stream: stream.take).connected:
                    return
                await asyncio.sleep(0.05)
    finally:
        await client.close()


def first_seconds(clip: Clip, seconds: float) -> Clip:
    return replace(clip, packets=tuple(p for p in clip.packets if p.ticks < seconds * clip.clock_hz))
