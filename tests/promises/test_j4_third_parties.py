"""J4-10, J4-12, J4-14, J4-16: who else gets data, where, under which instruction."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from app.jobs import TASKS, BadJob, enqueue
from app.models import metadata
from app.participants.notice import ThirdParty, third_parties
from app.privacy.models import Erasure
from app.room.ice import ice_servers
from app.sessions.models import Node
from app.settings import Mode, Settings, SettingsError
from app.studies.models import Study
from recordings.storage.regions import place_of
from tests.promises.sources import Listener
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


async def test_j4_10_an_erasure_names_the_instruction_behind_it(world: World):
    await world.registered(world.anna)
    await world.post(await world.guest(world.anna), "/my-data/erase")
    [erasure] = await world.rows(world.lab, Erasure)
    assert "request of the participant" in erasure.instruction
    with pytest.raises(IntegrityError):
        await world.change(world.lab, Erasure, erasure.id, instruction=None)


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="jobs other than erasures do not carry the instruction behind them"
)
def test_j4_10_a_job_without_an_instruction_is_refused_by_the_database(superuser_url):
    with psycopg.connect(superuser_url) as connection:
        found = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.columns "
            "WHERE column_name IN ('instruction', 'instruction_id') AND is_nullable = 'NO' "
            "AND table_name LIKE '%job%'"
        ).fetchall()
    assert found != []


async def test_j4_10_jobs_carry_ids_and_nothing_else(world: World, superuser_url: str):
    async with world.wiring.database.transaction(world.lab.account) as db:
        with pytest.raises(BadJob):
            await enqueue(db, "send_mail", account_id=world.lab.account, mail_id="anna@people.example")  # type: ignore[arg-type]
        with pytest.raises(BadJob):
            await enqueue(db, "train_model", account_id=world.lab.account)
    assert set(TASKS) == {"finalise", "transcribe", "erase", "send_mail", "sweep", "reap"}  # no purpose of our own
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


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="an entry has no safeguard (contract clauses, adequacy) and no date"
)
def test_j4_12_an_entry_names_its_safeguard_and_since_when():
    assert {"safeguard", "since"} <= {field.name for field in fields(ThirdParty)}


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


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="media processes and relays carry no country")
def test_j4_14_media_processes_and_relays_carry_a_country():
    assert "country" in Node.__table__.columns
    assert any("country" in field.name and "turn" in field.name for field in fields(Settings))


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="a relay outside the EU is not kept out, since its country is not known"
)
def test_j4_14_with_eu_only_no_other_relay_is_offered():
    settings = Settings.from_env({"JUNIER_TURN_URLS": "turn:us.relay.example:3478", "JUNIER_TURN_COUNTRY": "US"})
    servers = ice_servers(settings, session=uuid4(), now=datetime.now(UTC))
    assert servers == []


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


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="there is no register with safeguard, document and review date, so an overdue review blocks nothing",
)
def test_j4_16_an_overdue_review_blocks_new_use():
    assert {"document", "review_by"} <= {field.name for field in fields(ThirdParty)}


def test_j4_16_no_table_is_meant_for_anybody_else():
    """No webhook, no partner, no advertising id: whoever gets data stands in the settings, and so in the notice."""
    words = ("webhook", "partner", "tracking", "advert", "analytics")
    assert len(metadata.tables) > 15
    assert not [name for name in metadata.tables if any(word in name for word in words)]
