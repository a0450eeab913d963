"""Operators can rely on docs/operators/settings.md: it has every variable, says what the code says, and nothing is read
that it does not have."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from app.settings import Settings
from app.settings_page import PAGE, text

ROOT = Path(__file__).parents[2]
KNOWN = {field.metadata["variable"] for field in fields(Settings)}
OF_COMPOSE = {  # of the containers beside ours: roles of the database, coturn; not read by us
    "JUNIER_OWNER_PASSWORD",
    "JUNIER_APP_PASSWORD",
    "JUNIER_KEYS_PASSWORD",
    "JUNIER_TURN_ADDRESS",
    "JUNIER_TURN_CERTIFICATES",
}


def test_the_page_says_what_the_settings_say() -> None:
    assert PAGE.read_text() == text(), "run: python -m app.settings_page"


def test_every_variable_is_explained() -> None:
    unexplained = [f.name for f in fields(Settings) if len(str(f.metadata.get("text", "")).split()) < 2]
    assert unexplained == []


def test_no_other_variable_is_named_anywhere() -> None:
    files = [*ROOT.glob("app/**/*.py"), *ROOT.glob("recordings/**/*.py"), *ROOT.glob("workers/**/*.py")]
    files += [ROOT / "compose.yaml", ROOT / "Dockerfile", ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    named = {name for file in files for name in re.findall(r"\bJUNIER_[A-Z0-9_]+[A-Z0-9]\b", file.read_text())}
    assert named - KNOWN - OF_COMPOSE == set()


def test_the_environment_is_read_in_one_place_only() -> None:
    readers = {
        str(file.relative_to(ROOT))
        for folder in ("app", "recordings", "workers")
        for file in (ROOT / folder).glob("**/*.py")
        if re.search(r"os\.environ(\[|\.get)|os\.getenv", file.read_text())
    }
    assert readers == set()
