"""Alembic's environment: the connection comes from app.migrations.run; everything in one transaction, so that a
database is never left between two revisions, or with new tables and old rights."""

from pathlib import Path

from alembic import context

from app.migrations.sql import execute
from app.models import metadata

HERE = Path(__file__).parent

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
    if context.config.attributes["rights"]:
        for name in ("rights.sql", "doors.sql", "doors_close.sql"):
            execute(connection, HERE / name)
