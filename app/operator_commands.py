"""Commands of an operator who has to prove something, backup, restore, audit verify, erasure scan, certificate verify,
and who the operators are.

Each imports what it needs inside itself, as all commands do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from app.command_line import told_here
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.audit import Verdict
    from app.byte_scan import Scanned
    from app.database import Db
    from app.wiring import Wiring


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup(folder: Path) -> None:
    """Write a sealed backup of the database into FOLDER, while everything runs.

    Keys and media are not in it. It opens only with this installation's key store, and only for JUNIER_BACKUP_DAYS.
    """
    from app.backup import back_up, read_header
    from app.embedded import database_urls
    from app.wiring import open_wiring

    def make(settings: Settings) -> Path:
        with database_urls(settings) as urls:
            if not urls.owner:
                raise SettingsError("Set MIGRATION_DATABASE_URL to the database as role junier_owner.")
            wiring = open_wiring(settings, urls.app)
            asyncio.run(_know_the_ledger(wiring))
            return back_up(wiring.keys, urls.owner, folder, days=settings.backup_days, now=datetime.now(UTC))

    file = told_here(make)
    click.echo(f"{file} ({file.stat().st_size} bytes) can be restored until {read_header(file).opens_until}.")


async def _know_the_ledger(wiring: Wiring) -> None:
    """So that no database made from the backup starts without it, however young it is."""
    from app.privacy.replaying import catch_up
    from app.room.node_client import NodeClient

    try:
        await catch_up(wiring, NodeClient(wiring.settings))
    finally:
        await wiring.database.close()


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Make a backup the database of this installation, while nothing runs.

    What was erased, taken back or taken away since the backup is done again from the ledger beside the keys, before
    anything can be served. The object store is compared, not changed.
    """
    from app.restoring import restore_here

    done = told_here(lambda settings: restore_here(settings, file))
    click.echo(f"Restored the database of {done.header.made_at:%Y-%m-%d %H:%M} UTC.")
    again = done.replayed
    click.echo(f"From the ledger: {again.erasures} erasures done again, {again.addresses} addresses suppressed again.")
    click.echo(f"And {again.others} other things: people taken out, consents taken back, restrictions, addresses …")
    if again.asked:
        click.echo(f"{again.asked} erasures had been asked for and are asked again: workers carry them out.")
    for account in again.ownerless:
        click.echo(f"Nobody owns account {account} now; give it an owner: junier account give-owner {account}")
    click.echo("Everybody signs in anew.")
    if done.unsent:
        click.echo(
            f"{done.unsent} mails waited in the backup: they may have been sent since, so they are not sent again."
        )
    if again.open:
        click.echo(f"{again.open} of these are not verified yet; they are unreadable, and tried again once it serves.")
    for missing in done.missing:
        click.echo(f"Missing in the object store: recording {missing}")
    for unknown in done.unknown:
        click.echo(f"Made after the backup, not in it: {unknown}/")
    if done.unknown:
        click.echo(
            "No consent is known for these any more: after a day they are erased, unless a newer backup is restored."
        )


@click.group()
def audit() -> None:
    """The audit logs of all accounts."""


@audit.command("verify")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify_audit(files: tuple[Path, ...]) -> None:
    """Walk every account's chain, and compare it with the hashes beside the keys. Exit status 1 if one is broken.

    FILES: instead, those of the folder audit/ of one account's export, all of them; no database is needed.
    """
    if files:
        _tell_files(files)
    from app.audit_heads import heads_of, keep_verdicts, verify_all
    from app.database import Database
    from app.embedded import database_urls

    async def walk(settings: Settings, url: str) -> dict[str, Verdict]:
        database = Database(url)
        try:
            found = await verify_all(database, heads_of(settings))
            await keep_verdicts(database, found)
        finally:
            await database.close()
        return {str(account): verdict for account, verdict in found.items()}

    def look(settings: Settings) -> dict[str, Verdict]:
        with database_urls(settings) as urls:
            return asyncio.run(walk(settings, urls.app))

    verdicts = told_here(look)
    events = sum(verdict.events for verdict in verdicts.values())
    broken = [f"{account} at event {v.broken_at}" for account, v in verdicts.items() if not v.intact]
    if broken:
        click.echo(f"Broken: account {', account '.join(broken)}.")
    else:
        click.echo(f"Unbroken: {events} events of {len(verdicts)} accounts.")
    sys.exit(1 if broken else 0)


def _tell_files(files: tuple[Path, ...]) -> NoReturn:
    from app.audit_file import NotAnAuditLog, check

    try:
        found = check(line for file in sorted(files) for line in file.read_bytes().splitlines())
    except NotAnAuditLog as error:
        raise click.ClickException(error.message) from error
    if found.intact:
        click.echo(f"Unbroken: {found.events} events, the last of hash {found.last.hex()}.")
    else:
        click.echo(f"Broken at event {found.broken_at}.")
    sys.exit(not found.intact)


@click.group()
def erasure() -> None:
    """Proofs of erasure."""


@erasure.command()
@click.argument("canaries", nargs=-1, required=True, metavar="CANARY...")
@click.option(
    "--also",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A further file or folder, such as logs kept elsewhere or the data directory of a database server.",
)
def scan(canaries: tuple[str, ...], also: tuple[Path, ...]) -> None:
    """Look for words in every byte kept here: data folder with logs, spool and outbox, what is ours in the system's
    temporary folder, database files with WAL, every row, object store with versions; as they are, in UTF-16, base64,
    hex, URL-, JSON- and HTML-escaped, and packed.

    A CANARY of "-" reads them from standard input, one a line. Exit status 1 when one is found.
    """
    words = [w for c in canaries for w in (sys.stdin.read().splitlines() if c == "-" else [c]) if w]
    done = told_here(lambda settings: _scan(settings, words, also))
    for hit in done.hits:
        click.echo(f"{hit.where}: canary {hit.canary + 1} as {hit.spelling} at byte {hit.at}")
    for unread in done.unread:
        click.echo(f"could not be looked at: {unread}")
    looked = f"{done.files} files, {done.objects} objects and {done.tables} tables, {done.bytes / 1e6:.0f} MB"
    click.echo(f"{len(done.hits)} hits in {looked}.")
    sys.exit(1 if done.hits else 0)


@erasure.command()
@click.option("--erase", is_flag=True, help="Erase what has stood alone for a day, however many they are.")
def orphans(erase: bool) -> None:
    """List objects without a row and rows without their objects, and since when; changes nothing without --erase.

    A light worker looks every four hours: what has stood alone for a day is erased, or told on its page. Where more
    than half of what an account has would go, it waits for --erase: then the database is rather wrong, for example
    restored from a backup that is far too old. What belongs to an account that this database does not know is never
    touched.
    """
    from app.embedded import database_urls
    from app.privacy.erasing.orphans import Alone, look, reap
    from app.privacy.serving import claim
    from app.wiring import open_wiring

    async def find(settings: Settings, url: str, erases: bool) -> tuple[tuple[Alone, ...], int]:
        wiring, now, gone = open_wiring(settings, url), datetime.now(UTC), 0
        try:
            if erases:
                await claim(wiring)  # a copy beside the running database erases nothing
            while erases and (done := await reap(wiring, now, even_many=True)).erased:  # more may be found since
                gone += done.erased
            return (await look(wiring, now)).alone, gone
        finally:
            await wiring.database.close()

    def ask(erases: bool) -> tuple[tuple[Alone, ...], int]:
        def here(settings: Settings) -> tuple[tuple[Alone, ...], int]:
            with database_urls(settings) as urls:
                return asyncio.run(find(settings, urls.app, erases))

        return told_here(here)

    alone, _ = ask(False)
    for one in alone:
        since = f"since {one.since:%Y-%m-%d %H:%M} UTC" if one.since else "not noted yet"
        what = f", {one.things} stored, {one.bytes} bytes" if one.things else ""
        click.echo(f"{one.kind}: {one.place} ({since}{what})")
    click.echo(f"{len(alone)} stand alone.")
    if erase:
        click.confirm(
            "Erase every object without a row that has stood alone for a day? No backup opens it again", abort=True
        )
        left, gone = ask(True)
        click.echo(f"{gone} erased with their keys, {len(left)} stand alone.")


def _scan(settings: Settings, words: list[str], also: tuple[Path, ...]) -> Scanned:
    from tempfile import gettempdir

    from app.byte_scan import Scanned, cluster_files, own_temporary, scan_files, scan_store, scan_tables
    from app.embedded import EmbeddedPostgres, database_urls
    from app.wiring import open_store

    places = [settings.data_dir, settings.keys_folder, *own_temporary(Path(gettempdir())), *also]
    result = Scanned(hits=())
    with database_urls(settings) as urls:
        if not settings.database_url:
            places += cluster_files(EmbeddedPostgres(settings.data_dir).superuser_url)
        if urls.owner:
            result |= scan_tables(urls.owner, words)
        if settings.database_url:
            files = "the files of the database server: run this there with --also and its data directory"
            result |= Scanned(hits=(), unread=(files,))
        result |= scan_files([place.resolve() for place in places], words)
    if settings.object_store != "folder":  # a folder lies in the data folder
        result |= scan_store(open_store(settings), words)
    return result


@click.group()
def certificate() -> None:
    """Certificates of erasure."""


@certificate.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--fingerprint", help="Of the key you know this platform by; without it you compare it yourself.")
def verify(file: Path, fingerprint: str | None) -> None:
    """Check a downloaded certificate, offline. Exit status 1 when it was changed or another key signed it."""
    from app.privacy.erasing.certificate import verify_file

    verdict = verify_file(file, fingerprint=fingerprint)
    click.echo(verdict.sentence)
    if verdict.fingerprint:
        click.echo(f"Signed by the key {verdict.fingerprint}")
    sys.exit(0 if verdict.valid else 1)


@click.group()
def operator() -> None:
    """People who run this platform. Being one opens nothing: an owner grants each look at something."""


@operator.command("add")
@click.argument("mail")
@click.option("--name", required=True, help="As owners read it when this person asks for access.")
def add(mail: str, name: str) -> None:
    """Let the person with this address ask owners for access. They sign in with a mailed link and a passkey."""
    from app.forms import is_address, is_one_line
    from app.support.operators import add_operator

    if not is_address(mail):
        raise click.BadParameter("this does not look like an e-mail address", param_hint="MAIL")
    if not name.strip() or not is_one_line(name) or len(name) > 100:
        raise click.BadParameter("one line of at most 100 characters", param_hint="--name")

    async def act(db: Db, wiring: Wiring) -> str:
        await add_operator(db, wiring.columns, name=name.strip(), email=mail)
        return f"{wiring.settings.public_url.rstrip('/')}/support/sign-in"

    address = told_here(lambda settings: _in_database(settings, act))
    click.echo(f"{name.strip()} is an operator and signs in at {address}")


@operator.command("remove")
@click.argument("mail")
def remove(mail: str) -> None:
    """Sign the person out everywhere; their passkeys and grants open nothing from now on."""
    from app.support.operators import remove_operator

    async def act(db: Db, wiring: Wiring) -> str:
        return str(await remove_operator(db, wiring.columns, email=mail))

    click.echo(f"Removed: operator {told_here(lambda settings: _in_database(settings, act))}.")


@operator.command("list")
def list_() -> None:
    """Everybody who may ask for access."""
    from app.support.operators import operators

    async def act(db: Db, wiring: Wiring) -> str:
        found = await operators(db, wiring.columns)
        lines = [f"{one.id}  {one.name}  {one.email}  {one.passkeys} passkeys" for one in found]
        return "\n".join(lines) or "There is no operator."

    click.echo(told_here(lambda settings: _in_database(settings, act)))


def _in_database(settings: Settings, act: Callable[[Db, Wiring], Awaitable[str]]) -> str:
    """One transaction, on the database of these settings."""
    from app.embedded import database_urls
    from app.wiring import open_wiring

    async def run(wiring: Wiring) -> str:
        try:
            async with wiring.database.transaction() as db:
                return await act(db, wiring)
        finally:
            await wiring.database.close()

    with database_urls(settings) as urls:
        return asyncio.run(run(open_wiring(settings, urls.app)))
