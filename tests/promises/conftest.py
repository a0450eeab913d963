"""One small world for all promises; made anew for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.database import Database
from tests.contracts.test_mailer import mailtrap  # noqa: F401  the fake Mailtrap over HTTPS on loopback
from tests.promises.world import World, make_world


@pytest.fixture
async def world(database: Database, data_dir: Path) -> AsyncIterator[World]:
    made = await make_world(database, data_dir)
    yield made
    await made.close()
