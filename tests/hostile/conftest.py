"""One platform for all tests of a file: each leaves it working, which is the point."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.platform import Platform, platform

SILENT_SECONDS = 3


@pytest.fixture(scope="module")
def running() -> Iterator[Platform]:
    """A dead worker's jobs are taken over after three seconds."""
    folder = Path(tempfile.mkdtemp(prefix="junier-"))
    with platform(folder, worker_silent_s=SILENT_SECONDS) as made:
        yield made
    shutil.rmtree(folder, ignore_errors=True)
