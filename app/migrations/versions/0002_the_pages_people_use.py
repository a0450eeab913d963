"""The pages people use."""

from pathlib import Path

from alembic import op

from app.migrations.sql import execute

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    execute(op.get_bind(), HERE / "0002_the_pages_people_use.up.sql")


def downgrade() -> None:
    execute(op.get_bind(), HERE / "0002_the_pages_people_use.down.sql")
