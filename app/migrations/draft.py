"""Drafts the next revision from the difference between the newest one and today's models, for a person to mend:

    python -m app.migrations.draft what_changes

Tables and columns only: rights, row-level security and doors are said anew after every upgrade (rights.sql, doors.sql).
"""

from __future__ import annotations

import sys
import tempfile
from io import StringIO
from pathlib import Path

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import ModifyTableOps, OpContainer
from sqlalchemy import create_engine

from app.database import sqlalchemy_url
from app.embedded import EmbeddedPostgres
from app.migrations import run
from app.models import metadata

REVISION = '''"""{words}."""

from pathlib import Path

from alembic import op

from app.migrations.sql import execute

revision = "{number}"
down_revision = "{before}"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    execute(op.get_bind(), HERE / "{name}.up.sql")


def downgrade() -> None:
    execute(op.get_bind(), HERE / "{name}.down.sql")
'''


def difference(url_owner: str) -> tuple[str, str]:
    """SQL from the database to the models, and back."""
    engine = create_engine(sqlalchemy_url(url_owner))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        script = produce_migrations(context, metadata)
    engine.dispose()
    assert script.upgrade_ops is not None and script.downgrade_ops is not None
    return _as_sql(script.upgrade_ops), _as_sql(script.downgrade_ops)


def _as_sql(steps: OpContainer) -> str:
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "target_metadata": metadata}
    )
    operations = Operations(context)
    for step in steps.ops:
        for one in step.ops if isinstance(step, ModifyTableOps) else [step]:
            operations.invoke(one)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines() if line.strip())


def main(words: str) -> None:
    before = run.head()
    number = f"{int(before) + 1:04}"
    name = f"{number}_{words.replace(' ', '_')}"
    with tempfile.TemporaryDirectory(prefix="junier-draft-") as folder:
        server = EmbeddedPostgres(Path(folder), durable=False)
        url = server.start().owner
        try:
            run.upgrade(url, rights=False)  # today's doors may already speak of what this revision brings
            up, down = difference(url)
        finally:
            server.stop()
    (run.VERSIONS / f"{name}.up.sql").write_text(up)
    (run.VERSIONS / f"{name}.down.sql").write_text(down)
    python = REVISION.format(words=words.capitalize().replace("_", " "), number=number, before=before, name=name)
    (run.VERSIONS / f"{name}.py").write_text(python)
    print(f"app/migrations/versions/{name}: read it, and add what to do with the rows that are there")


if __name__ == "__main__":
    main(sys.argv[1])
