"""The database itself keeps accounts apart: asked from its catalogue, then tried."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.database import Base, Database
from app.jobs import TASKS
from app.models import accounts, metadata, studies
from recordings.model import AccountId
from tests.fixtures.erasing import ask

WITHOUT_ACCOUNT = {
    "alembic_version",
    "job_failure",
    "ledger_mark",
    "node",
    "orphan",
    "passkey_challenge",
    "rate",
    "task_done",
}
"""Tables of the platform: no personal data, no account. Every addition must be argued for here."""

ACCOUNT_COLUMN = """
    SELECT c.oid::regclass::text AS name, c.relrowsecurity, c.relforcerowsecurity,
           (SELECT count(*) FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
            WHERE p.polrelid = c.oid AND r.rolname = 'junier_app'
              AND pg_get_expr(p.polqual, c.oid) LIKE '%%junier.account_id%%'
              AND pg_get_expr(p.polwithcheck, c.oid) LIKE '%%junier.account_id%%') AS own,
           (SELECT count(*) FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles) OR p.polroles = '{0}'
            WHERE p.polrelid = c.oid AND p.polpermissive AND (r.rolname = 'junier_app' OR p.polroles = '{0}'))
               AS all_for_app
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
"""


def test_every_table_of_an_account_forces_row_level_security(superuser_url):
    with psycopg.connect(superuser_url) as connection:
        tables = {row[0]: row[1:] for row in connection.execute(ACCOUNT_COLUMN.replace("%%", "%").encode())}
    assert set(tables) >= set(metadata.tables)
    for name, facts in tables.items():
        if name not in WITHOUT_ACCOUNT:
            assert facts == (True, True, 1, 1), name


def test_the_platforms_own_tables_are_few_and_have_no_account_column(superuser_url):
    with psycopg.connect(superuser_url) as connection:
        rows = connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND column_name IN ('account_id', 'account')"
        )
        with_account = {row[0] for row in rows}
    assert set(metadata.tables) - with_account == WITHOUT_ACCOUNT - {"alembic_version"}


def test_no_role_of_ours_is_above_the_policies(superuser_url):
    with psycopg.connect(superuser_url) as connection:
        roles = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles "
            "WHERE rolname LIKE 'junier%' ORDER BY rolname"
        ).fetchall()
        owners = connection.execute(
            "SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'jobs')"
        ).fetchall()
        memberships = connection.execute(
            "SELECT pg_get_userbyid(member) FROM pg_auth_members WHERE pg_get_userbyid(roleid) LIKE 'junier%'"
        ).fetchall()
    assert roles == [
        ("junier_app", False, False, False, False, True),
        ("junier_doors", False, False, False, False, False),
        ("junier_owner", False, False, False, False, True),
    ]
    assert owners == [("junier_owner",)]
    assert memberships == [("junier_owner",)]


def test_doors_have_a_fixed_search_path_and_are_closed_to_everybody_else(superuser_url):
    with psycopg.connect(superuser_url) as connection:
        doors = connection.execute(
            "SELECT proname, prosecdef, proconfig, has_function_privilege('junier_app', oid, 'execute'), "
            "has_function_privilege('public', oid, 'execute') FROM pg_proc "
            "WHERE pg_get_userbyid(proowner) = 'junier_doors'"
        ).fetchall()
        definers = connection.execute("SELECT count(*) FROM pg_proc WHERE prosecdef").fetchone()
        can_create = connection.execute(
            "SELECT has_schema_privilege('junier_doors', 'public', 'create'), "
            "has_schema_privilege('junier_app', 'public', 'create')"
        ).fetchone()
    assert len(doors) >= 12
    assert definers == (len(doors),)
    assert can_create == (False, False)
    for name, definer, config, app_may, all_may in doors:
        assert (definer, config, app_may, all_may) == (
            True,
            ["search_path=pg_catalog, pg_temp"],
            True,
            False,
        ), name


def an_account(name: str = "Lab") -> accounts.Account:
    return accounts.Account(account_id=uuid4(), name=name)


def a_study(account: accounts.Account) -> studies.Study:
    return studies.Study(
        account_id=account.account_id, title="Kitchens", contact_name=b"-", contact_email=b"-", kinds=["audio"]
    )


async def add(database: Database, account: AccountId, *rows: Base) -> None:
    async with database.transaction(account) as db:
        db.add_all(rows)


async def two_accounts(database: Database) -> tuple[AccountId, AccountId]:
    made = []
    for name in ("Lab", "Other lab"):
        account = an_account(name)
        async with database.transaction(AccountId(account.account_id)) as db:
            db.add_all([account, a_study(account)])
        made.append(AccountId(account.account_id))
    return made[0], made[1]


async def test_an_account_sees_its_own_rows_only(database):
    lab, other = await two_accounts(database)
    for account in (lab, other):
        async with database.transaction(account) as db:
            seen = (await db.scalars(select(studies.Study.account_id))).all()
            assert seen == [account]


OF_ACCOUNTS = sorted(set(metadata.tables) - WITHOUT_ACCOUNT)
BY_TYPE = {
    "uuid": "gen_random_uuid()", "text": "gen_random_uuid()", "character varying": "gen_random_uuid()",
    "bytea": "uuid_send(gen_random_uuid())", "integer": "{number}", "bigint": "{number}", "boolean": "false",
    "date": "now()", "double precision": "1", "timestamp with time zone": "now()", "jsonb": "'{}'",
    "json": "'{}'", "ARRAY": "'{}'",
}  # fmt: skip


def fill(superuser_url: str, *owners: AccountId) -> None:
    """One row of each account in every table that has accounts: what must not be empty gets some value."""
    columns = (
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' "
        "AND table_name = %s AND is_nullable = 'NO' AND is_identity = 'NO' AND generation_expression IS NULL"
    )
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")  # no foreign key, no trigger
        for table in OF_ACCOUNTS:
            types = connection.execute(columns, [table]).fetchall()
            for number, owner in enumerate(owners, 1):
                values = {name: BY_TYPE[of].replace("{number}", str(number)) for name, of in types}
                values |= {name: f"'{owner}'" for name in ("account_id", "account") if name in values}
                names = ", ".join(f'"{name}"' for name in values)
                row = f"INSERT INTO {table} ({names}) VALUES ({', '.join(values.values())})"
                connection.execute(row.encode())


def whose(connection: psycopg.Connection, table: str) -> list[AccountId]:
    column = "account" if table == "sign_in_address" else "account_id"
    return sorted(row[0] for row in connection.execute(f"SELECT {column} FROM {table}".encode()))


def test_plain_sql_sees_no_row_without_an_account_and_one_accounts_rows_with_it(superuser_url, owner_url, app_url):
    """In every table with accounts, each of which holds a row of two."""
    lab, other = sorted(AccountId(uuid4()) for _ in range(2))
    fill(superuser_url, lab, other)
    with psycopg.connect(owner_url) as owner, psycopg.connect(app_url) as app:
        assert {table for table in OF_ACCOUNTS if whose(owner, table) != [lab, other]} == set()
        assert {table for table in OF_ACCOUNTS if whose(app, table)} == set()
        for account in (lab, other):
            app.execute("SELECT set_config('junier.account_id', %s, false)", [str(account)])
            assert {table for table in OF_ACCOUNTS if whose(app, table) != [account]} == set()
        app.execute("SELECT set_config('junier.account_id', '', false)")  # as a pool leaves it
        assert {table for table in OF_ACCOUNTS if whose(app, table)} == set()


async def test_jobs_name_accounts_and_ids_and_nothing_else(cast, anna, owner_url, app_url):
    """Schema `jobs` has no row-level security: a worker takes the next job of any account, and only the job says whose
    it is. What every account's code could read there says nothing about anybody."""
    await ask(cast, cast.participant.participant)
    with psycopg.connect(owner_url) as owner, psycopg.connect(app_url) as app:
        jobs = owner.execute("SELECT task_name, args FROM jobs.procrastinate_jobs").fetchall()
        assert len({task for task, _ in jobs}) > 2
        for task, arguments in jobs:
            assert set(arguments) == TASKS[task].arguments, task
            assert all(UUID(value) for value in arguments.values()), task
        reached = app.execute(
            "SELECT DISTINCT table_schema FROM information_schema.table_privileges WHERE grantee = 'junier_app'"
        )
        assert {schema for (schema,) in reached} == {"public", "jobs"}


async def test_a_pooled_connection_leaks_nothing_into_the_next_transaction(database):
    lab, _ = await two_accounts(database)
    async with database.engine.connect() as connection:
        async with connection.begin():
            await connection.execute(text("SELECT set_config('junier.account_id', :a, true)"), {"a": str(lab)})
            assert (await connection.execute(text("SELECT count(*) FROM study"))).scalar() == 1
        async with connection.begin():
            assert (await connection.execute(text("SELECT current_setting('junier.account_id', true)"))).scalar() == ""
            assert (await connection.execute(text("SELECT count(*) FROM study"))).scalar() == 0


async def test_a_row_for_another_account_is_refused(database):
    lab, other = await two_accounts(database)
    with pytest.raises(DBAPIError, match="row-level security"):
        await add(database, lab, a_study(accounts.Account(account_id=other)))


async def test_a_row_cannot_be_moved_to_another_account(database):
    lab, other = await two_accounts(database)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.transaction(lab) as db:
            await db.execute(text("UPDATE study SET account_id = :other"), {"other": str(other)})


async def test_an_update_without_where_touches_nobody_else(database):
    lab, other = await two_accounts(database)
    async with database.transaction(lab) as db:
        await db.execute(text("UPDATE study SET title = 'changed'"))
        await db.execute(text("DELETE FROM consent_text"))
    async with database.transaction(other) as db:
        assert (await db.scalars(select(studies.Study.title))).all() == ["Kitchens"]


async def test_a_sign_in_address_of_another_account_is_invisible(database):
    lab, other = await two_accounts(database)
    async with database.transaction(lab) as db:
        db.add(accounts.SignInAddress(address_hash=b"hash", account=lab, member=uuid4()))
    async with database.transaction(other) as db:
        assert (await db.scalars(select(accounts.SignInAddress.member))).all() == []
    with pytest.raises(DBAPIError, match="row-level security"):
        await add(database, other, accounts.SignInAddress(address_hash=b"hash", account=lab, member=uuid4()))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE study DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_account ON study",
        "SET ROLE junier_owner",
        "SET ROLE junier_doors",
        "CREATE TABLE public.mine (id int)",
        "SET SESSION AUTHORIZATION postgres",
    ],
)
async def test_the_application_cannot_lift_the_rules(database, statement):
    with pytest.raises(DBAPIError, match=r"must be owner|permission denied"):
        async with database.transaction() as db:
            await db.execute(text(statement))


@pytest.mark.parametrize("table", ["audit_event", "consent"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET at = now()", "TRUNCATE {}"])
async def test_logs_can_only_grow(database, table, statement):
    lab, _ = await two_accounts(database)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction(lab) as db:
            await db.execute(text(statement.format(table)))


@pytest.mark.parametrize("statement", ["DELETE FROM audit_event", "UPDATE audit_event SET number = 2"])
async def test_not_even_the_owner_changes_the_audit_log(database, owner_url, statement):
    lab, _ = await two_accounts(database)
    row = "INSERT INTO audit_event VALUES (1, now(), 'system', 'a:b:c', 'x', '{}', '', '', gen_random_uuid(), %s)"
    with psycopg.connect(owner_url) as connection:
        connection.execute(row, [lab])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement.encode())
