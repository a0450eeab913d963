"""Commands for the key store.

Each imports what it needs inside itself, as all commands do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from app.command_line import told_here
from app.errors import Conflict
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from recordings.encryption.moving import Moved

DIRECTORY, DATABASE = "directory", "database"
_SERVING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"""


class StillServing(Conflict):
    """Junier still runs here. Stop every web, media and worker process on all machines first."""


@click.group()
def keys() -> None:
    """The keys that everything here is sealed with."""


@keys.command("move")
@click.option(
    "--to",
    type=click.Choice([DIRECTORY, DATABASE]),
    required=True,
    help="The folder of keys on this machine, or the PostgreSQL of KEYS_DATABASE_URL.",
)
def move_keys(to: str) -> None:
    """Move all keys from the one kind of key store into the other, while nothing runs.

    KEYS_DATABASE_URL names the database in both directions. Each key is read back and compared before it is destroyed
    where it was; what was erased stays erased. When it is interrupted, run it again: until it is done nothing starts
    on either store.
    """
    done = told_here(lambda settings: _move(settings, to))
    if not done.accounts:
        click.echo("There are no keys to move.")
        return
    click.echo(f"Moved {done.keys} keys of {done.accounts} accounts, and destroyed them where they were.")
    click.echo(
        "Keep KEYS_DATABASE_URL in the settings of every process."
        if to == DATABASE
        else "Take KEYS_DATABASE_URL out of the settings of every process now."
    )


def _move(settings: Settings, to: str) -> Moved:
    from recordings.encryption.directory_moving import MovableFolder
    from recordings.encryption.moving import move
    from recordings.encryption.postgres_moving import MovableDatabase

    if not settings.keys_database_url:
        raise SettingsError("Set KEYS_DATABASE_URL to the database of the keys: the one to move to, or from.")
    with nothing_serves(settings):
        folder = MovableFolder(settings.keys_folder, settings.master_key_path)
        database = MovableDatabase(settings.keys_database_url, settings.master_key_path)
        return move(folder, database) if to == DATABASE else move(database, folder)


@contextmanager
def nothing_serves(settings: Settings) -> Iterator[None]:
    """Raises StillServing, or EmbeddedError when Junier runs on this data folder; keeps it from starting there."""
    if not settings.database_url:
        from app.embedded import EmbeddedPostgres

        server = EmbeddedPostgres(settings.data_dir)
        server.start()
        try:
            yield
        finally:
            server.stop()
        return
    import psycopg

    with psycopg.connect(settings.database_url, connect_timeout=10) as connection:
        [others] = connection.execute(_SERVING).fetchone() or [0]
        if others:
            raise StillServing
        yield
