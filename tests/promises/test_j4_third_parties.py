"""J4-10, J4-12, J4-14, J4-16: who else gets data, where, under which instruction."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import delete, func
from sqlalchemy.exc import IntegrityError

from app.doctor import check_register
from app.findings import Broken
from app.invitations.models import Invitation
from app.jobs import TASKS, BadJob, enqueue
from app.models import metadata
from app.participants.notice import notice
from app.privacy.records.models import Erasure
from app.room.ice import ice_servers
from app.sessions.models import Node, Session
from app.sessions.service import NoNode, node_of
from app.settings import Mode, Settings, SettingsError
from app.studies.models import Study
from app.third_parties import Purpose as Use
from app.third_parties import check_third_parties, overdue, third_parties
from recordings.storage.regions import place_of
from tests.promises.sources import Listener
from tests.promises.test_j4_contacts import FACTS as STUDY
from tests.promises.world import World
from workers.speech import Samples
from workers.transcribe import transcribe

EVERYONE = {
    "object_store": "s3",
    "s3_endpoint": "https://s3.fr-par.scw.cloud",
    "s3_region": "fr-par",
    "mail": "mailtrap",
    "turn_urls": "turns:turn.relay.example:443?transport=tcp",
}


ENTRY = """
["{host}"]
country = "EE"
safeguard = "Processing contract"
document = "https://contract.example"
since = 2026-01-10
review_by = 2027-01-10
"""


def registered(folder: Path, *hosts: str, review_by: date = date(2027, 1, 10)) -> Settings:
    """Everyone of EVERYONE is used, these hosts stand in the register."""
    folder.mkdir(exist_ok=True)
    file = folder / "register.toml"
    file.write_text("".join(ENTRY.replace("2027-01-10", str(review_by)).format(host=host) for host in hosts))
    return Settings(**EVERYONE, register_file=file)  # type: ignore[arg-type]


async def test_j4_10_an_erasure_names_the_instruction_behind_it(world: World):
    await world.registered(world.anna)
    await world.post(await world.guest(world.anna), "/my-data/erase")
    [erasure] = await world.rows(world.lab, Erasure)
    assert "request of the participant" in erasure.instruction
    with pytest.raises(IntegrityError):
        await world.change(world.lab, Erasure, erasure.id, instruction=None)


async def test_j4_10_every_job_names_the_instruction_behind_it(world: World, superuser_url: str):
    """From the invitation's mail to the erasure: whose will it was stands beside each job, in the same transaction."""
    await world.transcribed(world.anna)
    await world.post(await world.guest(world.anna), "/my-data/erase")
    with psycopg.connect(superuser_url) as connection:
        jobs = connection.execute(
            "SELECT id, task_name, args ->> 'account_id' FROM jobs.procrastinate_jobs WHERE args ? 'account_id'"
        ).fetchall()
        said = connection.execute("SELECT job_id, task, account_id::text, instruction FROM job_instruction").fetchall()
    assert {(job, task, account) for job, task, account, _ in said} == set(jobs)
    kinds = {(task, instruction.partition(":")[0]) for _, task, _, instruction in said}
    assert kinds == {("send_mail", "mail"), ("finalise", "session"), ("transcribe", "study"), ("erase", "erasure")}


def test_j4_10_a_job_without_an_instruction_is_refused_by_the_database(superuser_url: str):
    row = b"INSERT INTO job_instruction (job_id, account_id, task) VALUES (1, gen_random_uuid(), 'erase')"
    with psycopg.connect(superuser_url) as connection, pytest.raises(psycopg.errors.NotNullViolation):
        connection.execute(row)


async def test_j4_10_jobs_carry_ids_and_nothing_else(world: World, superuser_url: str):
    async with world.wiring.database.transaction(world.lab.account) as db:
        ids: dict[str, Any] = {"account_id": world.lab.account, "mail_id": "anna@people.example"}
        with pytest.raises(BadJob):
            await enqueue(db, "send_mail", instruction="test", **ids)
        with pytest.raises(BadJob):
            await enqueue(db, "train_model", instruction="test", account_id=world.lab.account)
    assert set(TASKS) == {
        "finalise",
        "transcribe",
        "erase",
        "send_mail",
        "sweep",
        "reap",
        "rotate",
        "attest",
        "find_orphans",
        "close_account",
    }  # no purpose of our own
    with psycopg.connect(superuser_url) as connection:
        jobs = connection.execute("SELECT args::text FROM jobs.procrastinate_jobs").fetchall()
    assert jobs and not any("@" in row[0] or "Anna" in row[0] for row in jobs)


async def test_j4_10_a_transcription_taken_out_of_the_study_is_not_run(world: World):
    """The owner switched transcripts off while the job waited."""
    transcript = await world.waiting_transcript(world.anna)
    await world.change(world.lab, Study, world.lab.study, kinds=["video", "audio", "screen"])
    heard: list[Samples] = []
    await transcribe(world.wiring, lambda: Listener(heard), world.lab.account, transcript.id)
    assert heard == []


def test_j4_12_everybody_who_gets_data_stands_in_the_notice_with_purpose_data_and_place():
    assert third_parties(Settings()) == ()
    parties = third_parties(Settings(**EVERYONE))  # type: ignore[arg-type]
    named = " ".join(party.name for party in parties)
    assert len(parties) == 3
    assert all(host in named for host in ("s3.fr-par.scw.cloud", "Mailtrap", "turn.relay.example"))
    for party in parties:
        assert party.purpose and party.data and party.place


async def test_j4_12_a_participant_reads_it_before_anything_is_recorded(world: World):
    there = world.with_settings(**EVERYONE)
    page = await there.browser().open(world.anna.link)
    for words in ("s3.fr-par.scw.cloud", "Mailtrap", "turn.relay.example", "Who else gets data"):
        assert words in page.words
    nobody = await world.browser().open(world.anna.link)
    assert "Mailtrap" not in nobody.words


@pytest.mark.parametrize(
    "env",
    [
        {"JUNIER_MAIL": "sendgrid", "JUNIER_MAIL_FROM": "x@x.example"},
        {"JUNIER_OBJECT_STORE": "gcs"},
        {"JUNIER_OBJECT_STORE": "dropbox"},
    ],
)
def test_j4_12_a_service_nobody_described_cannot_be_switched_on(env):
    with pytest.raises(SettingsError):
        Settings.from_env(env)


def test_j4_12_an_entry_names_its_safeguard_and_since_when(tmp_path: Path):
    """What the operator wrote of each host; participants read safeguard and date, and consent to just that."""
    settings = registered(tmp_path, "s3.fr-par.scw.cloud", "send.api.mailtrap.io", "turn.relay.example")
    for party in third_parties(settings):
        assert party.safeguard == "Processing contract" and party.since == date(2026, 1, 10)
        assert party.document == "https://contract.example" and party.review_by == date(2027, 1, 10)
    shown = notice(settings, STUDY)
    said = " ".join(text for section in shown.sections for text in section.paragraphs)
    assert said.count("Processing contract, since 10 January 2026") == 3 and "Estonia" in said
    assert shown.hash != notice(Settings(**EVERYONE), STUDY).hash  # type: ignore[arg-type]


def test_j4_12_nobody_gets_data_in_production_without_an_entry(tmp_path: Path):
    production = {"mode": Mode.PRODUCTION, "country": "DE", "turn_country": "DE"}
    everyone = ("s3.fr-par.scw.cloud", "send.api.mailtrap.io", "turn.relay.example")
    check_third_parties(replace(registered(tmp_path / "all", *everyone), **production))
    for missing in everyone:
        there = [host for host in everyone if host != missing]
        with pytest.raises(SettingsError, match=re.escape(missing)):
            check_third_parties(replace(registered(tmp_path / missing, *there), **production))
    own = Settings(**production, mail="smtp", smtp_host="127.0.0.1")  # type: ignore[arg-type]
    check_third_parties(own)  # this machine's own server is nobody else's


@pytest.mark.parametrize(
    "text",
    [
        "[unfinished",
        "['mail.example']\ncountry = 'DE'",
        ENTRY.replace("2027-01-10", "'soon'").format(host="mail.example"),
        ENTRY.replace('"Processing contract"', '""').format(host="mail.example"),
        ENTRY.format(host="mail.example") + 'colour = "red"',
    ],
)
def test_j4_12_a_register_that_does_not_fit_is_refused_with_its_place(tmp_path: Path, text: str):
    file = tmp_path / "register.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"register\.toml"):
        third_parties(Settings(mail="smtp", smtp_host="mail.example", register_file=file))


def test_j4_14_a_relay_is_named_with_its_host_and_what_it_sees():
    [relay] = third_parties(Settings(turn_urls="turn:turn.relay.example:3478,turns:turn.relay.example:443"))
    assert relay.name == "turn.relay.example"
    assert "network address" in relay.data and "nothing is stored" in relay.data


def test_j4_14_credentials_of_a_relay_live_ten_minutes_and_name_nobody():
    settings = Settings(turn_urls="turn:turn.relay.example:3478", turn_secret="s")
    now = datetime(2026, 11, 22, tzinfo=UTC)
    session = uuid4()
    [server] = ice_servers(settings, session=session, now=now)
    until, _, rest = server.username.partition(":")
    assert int(until) - now.timestamp() == 600 and rest == str(session)


async def test_j4_14_media_processes_and_relays_carry_a_country(world: World):
    """A room is given a media process in the EU, or none."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        for name, country in (("far", "US"), ("near", "EE"), ("nearer", "DE")):
            moments = {"started_at": func.now(), "heartbeat_at": func.now()}
            db.add(Node(name=name, url="http://127.0.0.1:1", country=country, capacity=9, streams=len(name), **moments))
        await db.flush()
        session = await db.get_one(Session, world.lab.session)
        assert (await node_of(db, session)).name == "near"  # "far" has more room
        session.node = None
        assert (await node_of(db, session, eu_only=False)).name == "far"
        session.node = "far"  # was chosen before the setting changed
        assert (await node_of(db, session)).name == "near"
        await db.execute(delete(Node).where(Node.country != "US"))
        session.node = None
        with pytest.raises(NoNode):
            await node_of(db, session)


@pytest.mark.parametrize(("country", "servers"), [("US", 0), ("GB", 0), ("DE", 1)])
def test_j4_14_with_eu_only_no_other_relay_is_offered(country: str, servers: int):
    env = {"JUNIER_TURN_URLS": "turn:relay.example:3478", "JUNIER_TURN_COUNTRY": country}
    asked = {"session": uuid4(), "now": datetime.now(UTC)}
    assert len(ice_servers(Settings.from_env(env), **asked)) == servers
    assert len(third_parties(Settings.from_env(env))) == servers  # nobody is told of a relay nobody is sent to
    assert len(ice_servers(Settings.from_env(env | {"JUNIER_EU_ONLY": "false"}), **asked)) == 1


def test_j4_14_in_production_a_country_that_is_not_known_is_none_in_the_eu():
    production = Settings(mode=Mode.PRODUCTION, turn_urls="turn:relay.example:3478")
    assert ice_servers(production, session=uuid4(), now=datetime.now(UTC)) == []
    for country in ("", "US"):
        with pytest.raises(SettingsError, match="JUNIER_COUNTRY"):
            check_third_parties(replace(production, country=country))
    check_third_parties(replace(production, country="DE"))


def test_j4_16_storage_providers_are_a_closed_list_and_say_where_the_company_sits():
    assert place_of("https://s3.eu-central-1.amazonaws.com", "eu-central-1").operator_outside_eu
    said = third_parties(
        Settings(object_store="s3", s3_endpoint="https://s3.eu-central-1.amazonaws.com", s3_region="eu-central-1")
    )
    assert len(said) == 1 and "encrypted" in said[0].data
    assert "Frankfurt" in said[0].place and "company from outside the EU" in said[0].place


def test_j4_16_mail_goes_out_encrypted_or_not_at_all():
    production = {"mode": Mode.PRODUCTION, "public_url": "https://x.example", "platform_contact": "help@x.example"}
    with pytest.raises(SettingsError):
        Settings.from_env({}, **production, mail="outbox")
    assert Settings(mail="smtp").smtp_tls == "starttls"


def test_j4_16_an_overdue_review_counts_from_the_day_after(tmp_path: Path):
    settings = registered(tmp_path, "s3.fr-par.scw.cloud", "send.api.mailtrap.io", "turn.relay.example")
    for use in Use:
        assert overdue(settings, use, date(2027, 1, 10)) is None
        late = overdue(settings, use, date(2027, 1, 11))
        assert late is not None and late.use is use
        assert overdue(Settings(), use, date(2099, 1, 1)) is None


async def test_j4_16_an_overdue_review_blocks_new_use(world: World, tmp_path: Path, capsys):
    """Nobody is invited by that mail service, nothing new is recorded into that storage, no relay is offered."""
    everyone = ("s3.fr-par.scw.cloud", "send.api.mailtrap.io", "turn.relay.example")
    late = registered(tmp_path, *everyone, review_by=date(2026, 2, 1))
    facts = {f.name: getattr(late, f.name) for f in fields(late) if f.name in (*EVERYONE, "register_file")}
    there = world.with_settings(**facts)
    owner = await there.member(there.lab)
    path = f"/sessions/{there.lab.session}"
    answer = await there.post(owner, f"{path}/invitations", {"name": "Carl", "email": "carl@people.example"})
    assert answer.status_code == 503 and "send.api.mailtrap.io" in answer.text
    assert len(await there.rows(there.lab, Invitation)) == 2  # nobody was added
    await there.post(owner, f"/rooms/{there.lab.session}/open")
    answer = await there.post(owner, f"/rooms/{there.lab.session}/start")
    assert answer.status_code == 503 and "s3.fr-par.scw.cloud" in answer.text
    [session] = await there.rows(there.lab, Session, Session.id == there.lab.session)
    assert session.recording == "off"
    assert ice_servers(there.settings, session=uuid4(), now=datetime.now(UTC)) == []
    with pytest.raises(Broken, match="was due"):
        check_register(there.settings)


def test_j4_16_no_table_is_meant_for_anybody_else():
    """No webhook, no partner, no advertising id: whoever gets data stands in the settings, and so in the notice."""
    words = ("webhook", "partner", "tracking", "advert", "analytics")
    assert len(metadata.tables) > 15
    assert not [name for name in metadata.tables if any(word in name for word in words)]
