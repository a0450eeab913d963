"""A deployment as compose.yaml describes it: PostgreSQL with passwords, S3, SMTP, and web, media and worker apart.

Everything runs natively in production mode, in the environment that compose.yaml itself gives.
"""

from __future__ import annotations

import re
import signal
from dataclasses import fields
from functools import partial

import click
import psycopg
import pytest

from app.__main__ import cli
from app.demo import clips
from app.demo.browser import Browser
from app.demo.inspection import inspect
from app.demo.people import Guest, Owner
from app.demo.publisher import publish
from app.demo.remains import Remains
from app.demo.story import until
from app.settings import Settings, SettingsError
from recordings.storage.layout import checked_prefix
from tests.fixtures.weed import Weed
from tests.journeys.deployment import Deployment, NotSet, compose
from tests.journeys.finished import playable
from tests.journeys.stage import FILLED_IN, OWNER, PARTS, Mailbox, first_seconds, taken_in

pytestmark = pytest.mark.timeout(600)

OURS = ("migrate", "web", "media", "worker", "transcriber", "transcriber-2")
SECONDS = 8.0


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


async def test_a_short_session_goes_through_and_is_erased_to_the_last_version(
    deployment: Deployment, mailbox: tuple[Mailbox, int], weed: Weed
) -> None:
    box, settings = mailbox[0], deployment.settings()
    assert "brought to revision" in deployment.run("migrate")
    deployment.start(*PARTS)
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
    ready = partial(taken_in, deployment, owner.session)
    publication = await publish(guest.browser.http, whip, token, camera, voice, ready=ready)
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
    await told_in_numbers(deployment, publication.frames_sent + publication.audio_packets_sent)
    by_signal = -signal.SIGTERM  # uvicorn passes the signal on once it has ended its requests
    assert deployment.stop() == {"web": by_signal, "media": 0, "worker": 0, "transcriber": 0}


async def told_in_numbers(deployment: Deployment, frames: int) -> None:
    """What Prometheus would have scraped of it, from each process."""
    media = await deployment.numbers("media")
    assert media["junier_media_frames_kept_total"] == frames
    assert media["junier_media_packets_total received"] >= frames
    assert media["junier_media_packets_total lost"] == media["junier_media_spool_bytes"] == 0
    assert media["junier_media_pieces_stored_total"] > 0
    web = await deployment.numbers("web")
    assert web["junier_requests_total GET /i/{token} 200"] == 1
    assert web["junier_database_up"] == web["junier_recordings erased"] == 1
    assert web["junier_jobs_waiting erase"] == web["junier_mails failed"] == web["junier_erasure_overdue_seconds"] == 0
    assert web["junier_disk_free_bytes"] > 0
    assert (await deployment.numbers("worker"))["junier_jobs_total done finalise"] == 1
    assert (await deployment.numbers("transcriber"))["junier_jobs_total done transcribe"] == 1


def versions(weed: Weed, prefix: str) -> list[str]:
    """Versions, delete markers and open uploads under a prefix, asked of the service itself."""
    client = weed.client()
    held = client.list_object_versions(Bucket=weed.versioned, Prefix=checked_prefix(prefix))
    uploads = client.list_multipart_uploads(Bucket=weed.versioned, Prefix=prefix)
    found = [*held.get("Versions", []), *held.get("DeleteMarkers", []), *uploads.get("Uploads", [])]
    return [one["Key"] for one in found]


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
