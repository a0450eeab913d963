"""Restore: a backup becomes the database of this installation, forgets what was erased since, and is compared with
the object store. Nothing serves while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import text

from app.audit import SYSTEM, Action, record
from app.audit_heads import accept_heads, heads_of
from app.backup import BackupFailed, Header, read_header, restore
from app.database import Database
from app.embedded import DATABASE, EmbeddedPostgres, Urls
from app.ledger import ledger_of
from app.mail.models import MailState
from app.migrations import run
from app.privacy.replaying import LedgerLost, Replayed, catch_up
from app.privacy.serving import Claim, claim_of
from app.room.node_client import NodeClient
from app.settings import Settings
from app.wiring import open_keys, open_store, open_wiring
from recordings.model import AccountId
from recordings.storage.layout import SERVING
from recordings.storage.store import ObjectStore

ASIDE = f"{DATABASE}_restoring"
FORMER = f"{DATABASE}_former"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """unsent: mails that waited in the backup and are not sent; missing: recordings of which the index is not in the
    object store; unknown: recordings in the object store that the backup does not know, made after it; their people's
    keys are in the key store."""

    header: Header
    replayed: Replayed
    unsent: int
    missing: tuple[UUID, ...]
    unknown: tuple[str, ...]


def restore_here(settings: Settings, file: Path) -> Restored:
    """Into the embedded database, whose former content goes when all of the backup is there; or into the empty one
    that the settings name. Raises BackupFailed, LedgerLost, EmbeddedError."""
    keys, store = open_keys(settings), open_store(settings)
    read_header(file)
    if ledger_of(settings).identity() is None:
        raise LedgerLost
    with _target(settings) as (urls, swap, former):
        header = restore(keys, file, urls.owner)
        unsent = begin_anew(urls.owner)
        replayed = asyncio.run(
            _replay(settings, urls, former)
        )  # refuses a ledger that does not fit while nothing is lost
        final = swap()
        asyncio.run(_note(settings, final, header))
        missing, unknown = compare(final.owner, store)
    return Restored(header=header, replayed=replayed, unsent=unsent, missing=missing, unknown=unknown)


def begin_anew(owner_url: str) -> int:
    """A login that was ended since the backup must not live again: everybody signs in anew, with new links and codes,
    and owners alone answer operators until they say otherwise again. A mail that waited may have been sent since: none
    is sent again. What stood alone when the backup was made gets its day again before anything of it goes
    (app.privacy.erasing.orphans). Returns how many mails that were."""
    with psycopg.connect(owner_url) as owner:
        for table in ("login", "sign_in_link", "data_code", "address_change", "operator_login", "operator_link"):
            owner.execute(f"DELETE FROM {table}".encode())
        owner.execute("DELETE FROM orphan")
        owner.execute("UPDATE ledger_mark SET serving = 0")
        owner.execute("UPDATE support_request SET revoked_at = now() WHERE revoked_at IS NULL AND ends_at > now()")
        owner.execute("UPDATE support_rule SET second_operator = false")  # said anew by the owner
        stopped = owner.execute(
            "UPDATE outgoing_mail SET state = %s WHERE state IN (%s, %s)",
            (MailState.NOT_SENT, MailState.WAITING, MailState.SENDING),
        )
        return stopped.rowcount


class _Swap:
    """What was restored aside takes the place of the database."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    def aside(self) -> Urls:
        with psycopg.connect(self._server.superuser_url, autocommit=True) as superuser:
            for left in (ASIDE, FORMER):  # by a restore that died
                superuser.execute(f"DROP DATABASE IF EXISTS {left} WITH (FORCE)".encode())
            superuser.execute(f"CREATE DATABASE {ASIDE} OWNER junier_owner".encode())
        urls = self._server.urls
        return Urls(app=_on(urls.app, ASIDE), owner=_on(urls.owner, ASIDE))

    def __call__(self) -> Urls:
        with psycopg.connect(self._server.superuser_url, autocommit=True) as superuser:
            with superuser.transaction():  # a crash leaves the one or the other, never none: that would be a new one
                superuser.execute(f"ALTER DATABASE {DATABASE} RENAME TO {FORMER}".encode())
                superuser.execute(f"ALTER DATABASE {ASIDE} RENAME TO {DATABASE}".encode())
            superuser.execute(f"DROP DATABASE {FORMER} WITH (FORCE)".encode())
        return self._server.urls


class _Stay:
    """A database named by the settings is where it shall be."""

    def __init__(self, urls: Urls) -> None:
        self._urls = urls

    def __call__(self) -> Urls:
        return self._urls


@contextmanager
def _target(settings: Settings) -> Iterator[tuple[Urls, _Swap | _Stay, Claim | None]]:
    """Where to restore, how it becomes the database, and which one it takes the place of, where that is sure."""
    if settings.database_url:
        urls = Urls(app=settings.database_url, owner=settings.migration_database_url)
        if not urls.owner:
            raise BackupFailed("Set MIGRATION_DATABASE_URL to the empty database as role junier_owner.")
        if run.current(urls.owner) is not None:
            raise BackupFailed(
                "The database is not empty. Make a new one, set DATABASE_URL and MIGRATION_DATABASE_URL to it, and "
                "remove the old one afterwards; nothing was changed."
            )
        yield urls, _Stay(urls), None
        return
    server = EmbeddedPostgres(settings.data_dir)
    server.start()  # refuses while Junier runs
    try:
        swap = _Swap(server)
        former = None if run.current(server.urls.owner) is None else asyncio.run(claim_of(server.urls.app))
        yield swap.aside(), swap, former
    finally:
        server.stop()


async def _replay(settings: Settings, urls: Urls, former: Claim | None) -> Replayed:
    wiring = open_wiring(settings, urls.app)
    try:
        return await catch_up(wiring, NodeClient(settings), instead_of=former)
    finally:
        await wiring.database.close()


async def _note(settings: Settings, urls: Urls, header: Header) -> None:
    """Every account's log says what happened, and that its end is missing on purpose."""
    database, heads = Database(urls.app), heads_of(settings)
    try:
        cut = await accept_heads(database, heads)
        for account in await _accounts(database):
            async with database.transaction(AccountId(account)) as db:
                reached, _ = cut.get(account, (0, 0))
                await record(
                    db,
                    account=account,
                    actor=SYSTEM,
                    action=Action.RESTORED,
                    subject=f"backup:{header.id}",
                    facts={"of": header.made_at.isoformat(timespec="minutes"), "log_reached": reached or None},
                )
        await accept_heads(database, heads)
    finally:
        await database.close()


async def _accounts(database: Database) -> list[UUID]:
    async with database.transaction() as db:
        return list(await db.scalars(text("SELECT account_id FROM audit_heads()")))


def compare(owner_url: str, store: ObjectStore) -> tuple[tuple[UUID, ...], tuple[str, ...]]:
    """Recordings without their index in the store, and recordings in the store without a row."""
    query = "SELECT id, account_id, session_id, person_id, index_key FROM recording WHERE erased_at IS NULL"
    with psycopg.connect(owner_url) as owner:
        rows = owner.execute(query).fetchall()
    known = {f"{account}/{session}/{person}/{one}": (one, index) for one, account, session, person, index in rows}
    keys = {thing.key for thing in store.list("") if not thing.key.startswith(SERVING)}
    there = {"/".join(key.split("/")[:4]) for key in keys}
    missing = tuple(one for one, index in known.values() if index is not None and index not in keys)
    return missing, tuple(sorted(there - known.keys()))


def _on(url: str, database: str) -> str:
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}?{query}"
