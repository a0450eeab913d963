"""Migrations go up, down and up again, and the frozen SQL says what the models and the job engine say."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
from procrastinate.schema import SchemaManager

from app.database import door
from app.migrations import draft, run

EVERYTHING = """
    SELECT 'relation', n.nspname, c.relname, c.relkind::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'jobs')
    UNION ALL SELECT 'function', n.nspname, p.proname, pg_get_functiondef(p.oid) FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'jobs')
    UNION ALL SELECT 'policy', schemaname, tablename, policyname FROM pg_policies
    UNION ALL SELECT 'constraint', n.nspname, o.conname, pg_get_constraintdef(o.oid) FROM pg_constraint o
    JOIN pg_namespace n ON n.oid = o.connamespace WHERE n.nspname IN ('public', 'jobs')
    UNION ALL SELECT 'trigger', '', t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE NOT t.tgisinternal
    ORDER BY 1, 2, 3, 4
"""


def everything(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(EVERYTHING.encode()).fetchall()


def test_up_down_up_ends_where_it_began(owner_url):
    before = everything(owner_url)
    run.downgrade(owner_url)
    left = everything(owner_url)
    assert [row[2] for row in left if not row[2].startswith("alembic_version")] == []
    assert run.current(owner_url) is None
    assert run.upgrade(owner_url)
    assert everything(owner_url) == before


def test_an_up_to_date_database_is_left_alone_without_loading_alembic(owner_url, app_url):
    code = (
        "import sys; from app.migrations import run; "
        f"assert run.upgrade({owner_url!r}) is False; print('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
    assert run.current(app_url) == run.head()


def test_the_migrated_database_has_exactly_the_tables_of_the_models(owner_url):
    """Otherwise: make revision NAME=what_changes"""
    assert draft.difference(owner_url) == ("", "")


def test_rights_and_doors_are_the_same_however_often_they_are_said(owner_url):
    before = everything(owner_url)
    run._alembic("upgrade", owner_url, "head", rights=True)
    assert everything(owner_url) == before


ROWS_OF_THE_FIRST_RELEASE = """
    INSERT INTO account (account_id, name) VALUES (%(a)s, 'Lab');
    INSERT INTO study (id, account_id, title, contact_name, contact_email, kinds, language, retention_version)
        VALUES (%(b)s, %(a)s, 'Kiosk', 'x', 'x', '{video}', 'en', 1);
    INSERT INTO session (id, account_id, study_id, title, time_zone, "group", state, recording)
        VALUES (%(c)s, %(a)s, %(b)s, 'Monday', 'Europe/Berlin', false, 'ended', 'off');
    INSERT INTO recording (id, account_id, session_id, person_id, person_is_member, stream, state, interrupted,
        last_take, index_generation, gaps, restricted_at)
        VALUES (%(d)s, %(a)s, %(c)s, %(b)s, false, 'camera', 'stored', false,
        1, 0, '[]', now());
"""


def test_an_installation_of_the_first_revision_keeps_its_rows(owner_url):
    run.downgrade(owner_url)
    run.upgrade(owner_url, "0001", rights=False)
    ids = {name: uuid4() for name in "abcd"}
    with psycopg.connect(owner_url) as connection:
        for statement in ROWS_OF_THE_FIRST_RELEASE.split(";")[:-1]:
            connection.execute(statement.encode(), ids)
    assert run.upgrade(owner_url)
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT title, questions_words FROM study").fetchall() == [("Kiosk", "")]
        hidden = "SELECT hidden_at IS NOT NULL, restricted_at IS NULL FROM recording"
        assert connection.execute(hidden.encode()).fetchall() == [(True, True)]


OBJECTS_OF_JOBS = """
    SELECT 'column', table_name, column_name, concat_ws(' ', udt_name, is_nullable,
           replace(column_default, 'jobs.', '')) FROM information_schema.columns WHERE table_schema = %(schema)s
    UNION ALL SELECT 'function', proname, prokind::text, replace(replace(prosrc, chr(13), ''), 'jobs.', '')
    FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
    UNION ALL SELECT 'index', tablename, indexname, replace(indexdef, %(schema)s || '.', '')
    FROM pg_indexes WHERE schemaname = %(schema)s
    UNION ALL SELECT 'enum', t.typname, e.enumlabel, '' FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
    WHERE t.typnamespace = %(schema)s::regnamespace
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = %(schema)s::regnamespace AND conrelid <> 0
    UNION ALL SELECT 'trigger', t.tgrelid::regclass::text, t.tgname,
           replace(pg_get_triggerdef(t.oid), %(schema)s || '.', '') FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = %(schema)s::regnamespace
    ORDER BY 1, 2, 3, 4
"""


def test_the_frozen_job_schema_is_the_one_the_installed_engine_expects(superuser_url):
    schema = SchemaManager.get_schema()
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET search_path = jobs")
        frozen = connection.execute(OBJECTS_OF_JOBS, {"schema": "jobs"}).fetchall()
        connection.execute("CREATE SCHEMA fresh")
        connection.execute("SET search_path = fresh")
        connection.execute(schema.encode())
        fresh = connection.execute(OBJECTS_OF_JOBS, {"schema": "fresh"}).fetchall()
        connection.rollback()
    assert len(fresh) > 60
    assert frozen == fresh


async def test_every_door_opens(database):
    """They are called once each: a wrong column in a door would show only when it is needed."""
    now = datetime.now(UTC)
    calls: dict[str, dict[str, Any]] = {
        "find_login": {"token_hash": b"?"},
        "find_sign_in_link": {"token_hash": b"?"},
        "find_passkey": {"credential_hash": b"?"},
        "find_member_by_address": {"address_hash": b"?"},
        "find_invitation": {"token_hash": b"?"},
        "find_unsubscribe": {"token_hash": b"?"},
        "due_recordings": {"now_": now, "limit_": 5},
        "due_notes": {"now_": now, "limit_": 5},
        "live_sessions": {},
        "open_takes": {"node_": "media-1"},
        "unfinished_erasures": {"now_": now, "limit_": 5},
        "platform_counts": {},
    }
    async with database.transaction() as db:
        for name, arguments in calls.items():
            assert await door(db, name, **arguments) is None, name
        assert (await door(db, "any_account")) == (False,)
