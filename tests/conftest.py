"""Fixtures live in tests/fixtures, one file per real part; each is named here."""

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

# No test is about speed: a busy machine makes none of them red.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")
expect.set_options(timeout=30_000)
