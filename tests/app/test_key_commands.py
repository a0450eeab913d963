"""junier keys move, on an installation with the embedded database and on one with a server of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from app.__main__ import cli
from app.embedded import EmbeddedPostgres
from app.key_commands import StillServing, nothing_serves
from app.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(data_dir: Path) -> Run:
    def invoke(*words: str, keys: str = "") -> Result:
        none = {"DATABASE_URL": "", "MIGRATION_DATABASE_URL": ""}
        return CliRunner().invoke(cli, words, env=none | {"JUNIER_DATA_DIR": str(data_dir), "KEYS_DATABASE_URL": keys})

    return invoke


def create(run: Run, name: str, keys: str = "") -> Result:
    who = ("--owner-name", "Ada", "--owner-email", f"{name}@lab.example")
    return run("account", "create", "--name", name, *who, keys=keys)


def test_keys_move_there_and_back_while_nothing_runs(run: Run, data_dir: Path, keys_url: str) -> None:
    assert create(run, "one").exit_code == 0
    ledger = data_dir / "keys" / "ledger" / "audit-heads"
    ledger.parent.mkdir()
    ledger.write_bytes(b"stays")
    assert "Set KEYS_DATABASE_URL" in run("keys", "move", "--to", "database").output
    server = EmbeddedPostgres(data_dir)
    server.start()
    try:
        refused = run("keys", "move", "--to", "database", keys=keys_url)
        assert refused.exit_code == 1 and "Another Junier" in refused.output
    finally:
        server.stop()
    moved = run("keys", "move", "--to", "database", keys=keys_url)
    assert moved.exit_code == 0 and "Keep KEYS_DATABASE_URL" in moved.output, moved.output
    assert not list((data_dir / "keys").glob("*/epoch-*")) and ledger.read_bytes() == b"stays"
    refused = create(run, "two")
    assert refused.exit_code == 1 and "They left this store" in refused.output
    assert create(run, "two", keys_url).exit_code == 0, "as every process does with the setting"
    assert run("keys", "move", "--to", "database", keys=keys_url).output == "There are no keys to move.\n"
    back = run("keys", "move", "--to", "directory", keys=keys_url)
    assert back.exit_code == 0 and "Take KEYS_DATABASE_URL out" in back.output, back.output
    assert create(run, "three").exit_code == 0 and create(run, "four", keys_url).exit_code == 1


def test_keys_do_not_move_while_anything_is_connected_to_the_database(empty_urls: dict[str, str]) -> None:
    settings = replace(Settings(), database_url=empty_urls["owner"])
    with nothing_serves(settings):
        pass
    with psycopg.connect(empty_urls["owner"]), pytest.raises(StillServing), nothing_serves(settings):
        pass
