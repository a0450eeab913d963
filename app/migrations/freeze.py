"""Writes the first revision's SQL from today's models, procrastinate's schema and doors.sql:

    python -m app.migrations.freeze

Only until the first release; afterwards 0001 never changes and every change is a revision of its own.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from app.models import metadata

HERE = Path(__file__).parent
UP = HERE / "versions" / "0001_start.up.sql"
DOWN = HERE / "versions" / "0001_start.down.sql"

APPEND_ONLY = ("audit_event", "consent")  # the application may add rows, never change or remove them
ACCOUNT = "NULLIF(current_setting('junier.account_id', true), '')::uuid"

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

VERSION = "GRANT SELECT ON alembic_version TO junier_app;  -- every role may ask which revision this is"

JOBS_GRANTS = """
GRANT USAGE ON SCHEMA jobs TO junier_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO junier_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA jobs TO junier_app;
"""


def up() -> str:
    parts = ["-- Frozen by app/migrations/freeze.py; see there.", tables(), security(), jobs(), doors()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def down() -> str:
    functions = "".join(f"DROP FUNCTION {name};\n" for name in _door_names())
    dropped = "".join(f"DROP TABLE {table.name};\n" for table in reversed(metadata.sorted_tables))
    return f"{functions}{dropped}DROP FUNCTION refuse_change;\nDROP SCHEMA jobs CASCADE;\n"


def tables() -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes]
    return "".join(f"{re.sub(r' +$', '', statement, flags=re.M)};\n" for statement in made)


def security() -> str:
    """Row-level security for every table of an account, and what each role may do."""
    return "".join(_table_security(table) for table in metadata.sorted_tables) + REFUSE_CHANGE + VERSION


def _table_security(table: Table) -> str:
    verbs = "SELECT, INSERT" if table.name in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"
    lines = [f"GRANT {verbs} ON {table.name} TO junier_app;"]
    column = account_column(table)
    if column is not None:
        mine = f"{column} = {ACCOUNT}"
        lines += [
            f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY;",
            f"ALTER TABLE {table.name} FORCE ROW LEVEL SECURITY;",
            f"CREATE POLICY own_account ON {table.name} TO junier_app USING ({mine}) WITH CHECK ({mine});",
            f"CREATE POLICY migrations ON {table.name} TO junier_owner USING (true) WITH CHECK (true);",
        ]
    return "\n".join(lines) + "\n"


def account_column(table: Table) -> str | None:
    """The column that says whose row it is; sign_in_address calls it `account`."""
    return next((name for name in ("account_id", "account") if name in table.columns), None)


def jobs() -> str:
    """procrastinate's tables and functions, unchanged, in a schema of their own."""
    schema = (resources.files("procrastinate.sql") / "schema.sql").read_text(encoding="utf-8")
    moved = "SET LOCAL search_path = jobs, pg_catalog;"
    return f"CREATE SCHEMA jobs;\n{moved}\n{schema}\nSET LOCAL search_path = public, pg_catalog;\n{JOBS_GRANTS}"


def doors() -> str:
    text = (HERE / "doors.sql").read_text()
    read = re.findall(r"^GRANT SELECT .* ON (\w+) TO junier_doors;", text, flags=re.M)
    policies = [f"CREATE POLICY doors ON {table} FOR SELECT TO junier_doors USING (true);" for table in read]
    closed = [
        f"ALTER FUNCTION {name} OWNER TO junier_doors;\n"
        f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC;\n"
        f"GRANT EXECUTE ON FUNCTION {name} TO junier_app;"
        for name in _door_names()
    ]
    # The new owner of a function needs CREATE on the schema at that moment only.
    return "\n".join(
        [
            text,
            *policies,
            "GRANT CREATE ON SCHEMA public TO junier_doors;",
            *closed,
            "REVOKE CREATE ON SCHEMA public FROM junier_doors;",
            "GRANT USAGE ON SCHEMA public TO junier_doors, junier_app;",
        ]
    )


def _door_names() -> list[str]:
    return re.findall(r"^CREATE FUNCTION (\w+)\(", (HERE / "doors.sql").read_text(), flags=re.M)


if __name__ == "__main__":
    UP.write_text(up())
    DOWN.write_text(down())
