"""Fixtures live in tests/fixtures, one file per real part; each is named here."""

import os

from hypothesis import HealthCheck, settings
from playwright.async_api import expect

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.keys_database",
    "tests.fixtures.web",
    "tests.fixtures.erasing",
    "tests.fixtures.weed",
    "tests.journeys.stage",
]

# No test is about speed or luck: a busy machine makes none of them red, nor do cases that were drawn here alone.
settings.register_profile(
    "here",
    deadline=None,
    derandomize="TRIAL_SEED" not in os.environ,  # make trials draws afresh
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("here")
expect.set_options(timeout=30_000)
