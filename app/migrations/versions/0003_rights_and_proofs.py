"""Rights and proofs."""

from pathlib import Path

from alembic import op

from app.migrations.sql import execute

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    execute(op.get_bind(), HERE / "0003_rights_and_proofs.up.sql")


def downgrade() -> None:
    execute(op.get_bind(), HERE / "0003_rights_and_proofs.down.sql")
