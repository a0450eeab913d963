"""Start: every table, row-level security, roles' rights, doors and the job engine's schema (procrastinate 3.10)."""

from pathlib import Path

from alembic import op

from app.migrations.sql import execute

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    execute(op.get_bind(), HERE / "0001_start.up.sql")


def downgrade() -> None:
    execute(op.get_bind(), HERE / "0001_start.down.sql")
