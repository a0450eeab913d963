"""What all commands share: settings, a database to act on, and faults told as one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

import click

from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.wiring import Wiring

_Result = TypeVar("_Result")


def settings_here() -> Settings:
    try:
        return Settings.from_env()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def told(action: Callable[[], _Result]) -> _Result:
    """Faults the operator can mend become one sentence instead of a traceback."""
    from psycopg import OperationalError

    from app.embedded_place import EmbeddedError
    from app.errors import JunierError
    from app.parent import CannotServe
    from recordings.capture.disk import SpoolTaken
    from recordings.encryption.keystore import KeyStoreError
    from recordings.storage.regions import PlaceRefused
    from recordings.storage.store import StoreError

    try:
        return action()
    except PlaceRefused as error:
        raise click.ClickException(f"JUNIER_S3_ENDPOINT and JUNIER_S3_REGION: {error}") from None
    except (CannotServe, EmbeddedError, JunierError, KeyStoreError, SettingsError, SpoolTaken, StoreError) as error:
        raise click.ClickException(str(error)) from None
    except OperationalError as error:
        raise click.ClickException(f"The database cannot be reached: {error}") from None


def told_here(action: Callable[[Settings], _Result]) -> _Result:
    """The same, with the settings of this installation; also a full disk, or a folder that may not be written."""
    try:
        return told(lambda: action(settings_here()))
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'The file'}: {error.strerror}") from None


def with_database(settings: Settings, action: Callable[[Wiring], Coroutine[None, None, str]]) -> str:
    """Run `action` on the database of these settings, started for it when it does not run."""
    from app.embedded import database_urls
    from app.migrations import run
    from app.wiring import open_wiring

    with database_urls(settings) as urls:
        if urls.owner:
            run.upgrade(urls.owner)
        return asyncio.run(action(open_wiring(settings, urls.app)))
