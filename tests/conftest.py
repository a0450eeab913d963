"""Fixtures live in tests/fixtures, one file per real part; each is named here."""

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.web",
    "tests.fixtures.erasing",
    "tests.fixtures.weed",
    "tests.journeys.stage",
]
