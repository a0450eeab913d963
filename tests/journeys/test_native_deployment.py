"""A deployment as compose.yaml describes it: PostgreSQL with passwords, S3, SMTP, and web, media and worker apart.

Everything runs natively in production mode, in the environment that compose.yaml itself gives.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from email import message_from_bytes
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from aiosmtpd.controller import Controller

from app.__main__ import cli
from app.demo import clips
from app.demo.browser import Browser, DeadEnd
from app.demo.clips import Clip
from app.demo.inspection import inspect
from app.demo.people import CODE, LINK, Guest, Owner
from app.demo.publisher import publish
from app.demo.remains import Remains
from app.demo.story import until
from app.settings import Settings, SettingsError
from recordings.storage.layout import checked_prefix
from tests.app.test_serve import free_ports
from tests.fixtures.weed import Weed
from tests.journeys.deployment import Deployment, NotSet, compose, postgres

OURS = ("migrate", "web", "media", "worker")
SECONDS = 8.0
OWNER = "ada@studio.example"
FILLED_IN = {
    "JUNIER_PUBLIC_URL": "https://sessions.example.eu",
    "JUNIER_PLATFORM_CONTACT": "help@sessions.example.eu",
    "JUNIER_MAIL_FROM": "sessions@sessions.example.eu",
    "JUNIER_S3_OWN_COUNTRY": "DE",
    "JUNIER_S3_ACCESS_KEY": "access",
    "JUNIER_S3_SECRET_KEY": "secret",
    "JUNIER_NODE_SECRET": "a-node-secret",
    "POSTGRES_PASSWORD": "the-superuser",
    "JUNIER_OWNER_PASSWORD": "the'owner",
    "JUNIER_APP_PASSWORD": "the-app",
}
"""The least an operator writes into .env."""


@pytest.mark.parametrize("service", OURS)
def test_every_variable_of_compose_is_a_setting_and_every_command_exists(service: str) -> None:
    known = {f.metadata["variable"] for f in fields(Settings)}
    found = compose(FILLED_IN)[service]
    assert set(found["environment"]) <= known
    Settings.from_env({name: str(value) for name, value in found["environment"].items()})
    name, *arguments = found["command"]
    command = cli.commands[name]
    assert isinstance(command, click.Command)
    command.make_context(name, list(arguments))  # raises for an option that does not exist


def test_what_only_the_operator_knows_is_asked_for_by_name() -> None:
    for name in FILLED_IN:
        with pytest.raises(NotSet, match=name):
            compose({other: value for other, value in FILLED_IN.items() if other != name})


def test_a_deployment_that_would_send_no_mail_or_be_open_to_all_does_not_start() -> None:
    smtp = {"JUNIER_MAIL": "smtp", "JUNIER_SMTP_HOST": "mail.example.eu"}
    for wrong in (
        {"JUNIER_MAIL": "outbox"},
        {"JUNIER_PUBLIC_URL": "http://sessions.example.eu"},
        {"JUNIER_SMTP_HOST": ""} | {"JUNIER_MAIL": "smtp"},
        {"JUNIER_SMTP_TLS": "none"} | smtp,
        {"JUNIER_SMTP_TLS": "perhaps"} | smtp,
    ):
        environment = compose(FILLED_IN | wrong)["web"]["environment"]
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Settings.from_env({name: str(value) for name, value in environment.items()})


@dataclass
class Mailbox:
    """Everybody's mailbox: what came in by SMTP."""

    came: list[tuple[list[str], str]] = field(default_factory=list)

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
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.fixture
def deployment(data_dir: Path, weed: Weed, mailbox: tuple[Mailbox, int]) -> Iterator[Deployment]:
    """Database, objects and mail are there; nothing of ours runs yet. The bucket keeps versions."""
    web, media, database = free_ports(3)
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
        }
    )
    made = Deployment(services=services, folder=data_dir, database_port=database)
    with ExitStack() as cleanup:
        cleanup.enter_context(postgres(services["postgres"], data_dir, database))
        cleanup.callback(made.stop)
        yield made


async def test_a_short_session_goes_through_and_is_erased_to_the_last_version(
    deployment: Deployment, mailbox: tuple[Mailbox, int], weed: Weed
) -> None:
    box, settings = mailbox[0], deployment.settings()
    assert "brought to revision" in deployment.run("migrate")
    deployment.start("web", "media", "worker")
    await deployment.ready()
    assert "mailed to" in deployment.run(
        "web", "account", "create", "--name", "Studio", "--owner-name", "Ada", "--owner-email", OWNER
    )
    owner = Owner(Browser(settings.origin))
    guest = Guest(number=1, name="Mia", address="mia@home.example", browser=Browser(settings.origin))
    assert (await owner.browser.http.get("/outbox")).status_code == 404  # of development only
    await owner.sign_in(await until(partial(box.link, OWNER, "/sign-in/")))
    await owner.create_session(await owner.create_study())
    await owner.invite(guest.name, guest.address)
    await guest.register(await until(partial(box.link, guest.address, "/i/")))
    await guest.consent(owner.session)

    await owner.lead("open")
    await owner.lead(f"admit/{await owner.person(guest.name)}")
    await owner.lead("start")
    whip, token = await guest.room_token(owner.session, "camera")
    camera, voice = (first_seconds(clip, SECONDS) for clip in (clips.camera(1), clips.speech(1)))
    publication = await publish(guest.browser.http, whip, token, camera, voice)
    await publication.done.wait()
    await publication.close()
    await owner.lead("end")

    link = await until(partial(playable, owner))
    seen = inspect((await owner.browser.http.get(link)).content)
    assert seen.missing(1, publication.frames_sent) == ()
    assert seen.audio_packets == publication.audio_packets_sent > 0
    said = clips.speech_text(1).lower().split()
    heard = (await until(partial(owner.transcript, guest.name))).lower().split()
    assert len(set(heard) & set(said[: 4 * len(heard)])) > len(set(heard)) / 2

    remains = Remains.of(settings, link.split("/")[2])
    assert versions(weed, remains.prefix)
    receipt = await guest.erase_everything(lambda: until(partial(box.code, guest.address)))
    assert await until(lambda: remains.certificate(guest.browser, receipt)) == "complete"
    assert versions(weed, remains.prefix) == []
    assert remains.keys_left() == 0
    assert (await owner.browser.http.get(link)).status_code == 404
    for browser in (owner.browser, guest.browser):
        await browser.close()
    by_signal = -signal.SIGTERM  # uvicorn passes the signal on once it has ended its requests
    assert deployment.stop() == {"web": by_signal, "media": 0, "worker": 0}


async def playable(owner: Owner) -> str | None:
    for link in await owner.media_links():
        if (await owner.browser.http.get(link, headers={"Range": "bytes=0-99"})).status_code == 206:
            return link
    return None


def versions(weed: Weed, prefix: str) -> list[str]:
    """Versions, delete markers and open uploads under a prefix, asked of the service itself."""
    client = weed.client()
    held = client.list_object_versions(Bucket=weed.versioned, Prefix=checked_prefix(prefix))
    uploads = client.list_multipart_uploads(Bucket=weed.versioned, Prefix=prefix)
    found = [*held.get("Versions", []), *held.get("DeleteMarkers", []), *uploads.get("Uploads", [])]
    return [one["Key"] for one in found]


def first_seconds(clip: Clip, seconds: float) -> Clip:
    return replace(clip, packets=tuple(p for p in clip.packets if p.ticks < seconds * clip.clock_hz))


def test_the_roles_have_passwords_and_no_more_rights_than_they_need(deployment: Deployment) -> None:
    deployment.run("migrate")
    app = deployment.settings().database_url
    owner = deployment.settings("migrate").migration_database_url
    for url, name in ((app, "junier_app"), (owner, "junier_owner")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(re.sub(r"//(\w+):[^@]*@", r"//\1:wrong@", url))
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row == (name, False, False, False)
    with psycopg.connect(app) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE mine ()")
