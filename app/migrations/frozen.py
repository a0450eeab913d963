"""Runs a file of frozen SQL inside a revision."""

from pathlib import Path

from alembic import op


def execute(path: Path) -> None:
    """Every statement of the file, on the driver itself: no parameters, so that % stays %."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(path.read_bytes())
