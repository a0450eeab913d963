"""Runs a file of SQL as it stands."""

from pathlib import Path

from sqlalchemy import Connection


def execute(connection: Connection, path: Path) -> None:
    """Every statement of the file, on the driver itself: no parameters, so that % stays %."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(path.read_bytes())
