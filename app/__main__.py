"""The `junier` command: composition root of every process; imported by nobody.

Each command imports what it needs inside itself, so that --help is instant and no process carries another's
libraries.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from app.account_commands import account
from app.breach_command import breach
from app.command_line import settings_here, told
from app.key_commands import keys
from app.ledger_commands import ledger
from app.operator_commands import audit, backup, certificate, erasure, operator, restore
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.embedded import Urls
    from app.wiring import Wiring

DATABASE_LIMIT_S = 20.0
_Result = TypeVar("_Result")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Junier: research sessions, recorded sealed and transcribed on your own machines, erased for sure.

    Trying it: `junier demo`. Daily use: `junier serve`. Something wrong: `junier doctor`.
    Settings are environment variables; each stands with its explanation in app/settings.py.
    """


@cli.command()
def serve() -> None:
    """Start everything on this machine: database, web and media.

    Without DATABASE_URL an embedded PostgreSQL is started in the data folder (JUNIER_DATA_DIR, ./var). A process
    that dies is started again within a second. Ctrl-C or SIGTERM stops everything in order.
    """
    from app import parent
    from app.third_parties import check_third_parties
    from app.wiring import place_of_store

    settings = settings_here()
    _start_log(settings)
    told(lambda: place_of_store(settings))  # before anything is made or started
    told(lambda: check_third_parties(settings))
    told(lambda: parent.serve(settings, started=lambda urls, seconds: _say_ready(settings, urls, seconds)))


@cli.command()
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input closes.")
def web(with_parent: bool) -> None:
    """Start the web process alone: pages, API and, unless JUNIER_WORKER_IN_WEB=false, the light worker."""
    settings = settings_here()
    _start_log(settings)
    if with_parent:
        _end_with_parent()
    import uvicorn

    from app.main import create_app
    from app.observed import Observed
    from app.privacy.platform_numbers import PlatformNumbers
    from app.privacy.serving import go_on
    from app.room.node_client import NodeClient
    from app.room.permission import push_loop
    from app.store_check import watch_store

    wiring = _wiring(settings)
    node = NodeClient(settings)
    background = [push_loop(node), go_on, watch_store, *_private(wiring, PlatformNumbers(wiring))]
    if settings.worker_in_web:
        from workers.__main__ import run_light

        background.append(run_light)
    app = Observed(create_app(wiring, background=background, node_client=node))
    _leave_to_stay()
    uvicorn.run(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        log_config=None,
        access_log=False,  # addresses carry secret links; Observed tells the route
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        server_header=False,
        ws_max_size=64_000,  # bytes; our page says nothing on its WebSocket
        ws_ping_interval=5,
        ws_ping_timeout=10,  # seconds; who lost the network is shown as not here soon after
        timeout_graceful_shutdown=3,  # streams of events never end by themselves; pages connect again
    )


@cli.command()
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input closes.")
def media(with_parent: bool) -> None:
    """Start a media process alone: receives, seals and stores the streams of its rooms."""
    settings = settings_here()
    _start_log(settings)
    if with_parent:
        _end_with_parent()
    from app.privacy.serving import go_on
    from app.room.node import run
    from app.store_check import watch_store

    wiring = _wiring(settings)
    ports = [go_on, watch_store, *_private(wiring)]
    told(lambda: asyncio.run(_beside(run(wiring), wiring, *ports)))


@cli.command()
@click.option(
    "--queues",
    default="light,transcription",
    show_default=True,
    help="What this worker does, comma-separated: light (finalise, erase, mail, retention) and transcription.",
)
@click.option("--until-idle", is_flag=True, help="Stop when no job is left.")
def worker(queues: str, until_idle: bool) -> None:
    """Start a worker on any machine that reaches the database and the object store."""
    settings = settings_here()
    _start_log(settings)
    chosen = [queue.strip() for queue in queues.split(",") if queue.strip()]
    from app.jobs import Queue

    unknown = set(chosen) - {queue.value for queue in Queue}
    if unknown or not chosen:
        raise click.BadParameter(f"choose from {', '.join(q.value for q in Queue)}", param_hint="--queues")
    from app.privacy.serving import go_on
    from app.store_check import watch_store
    from workers.__main__ import run

    wiring = _wiring(settings)
    asyncio.run(_beside(run(wiring, chosen, until_idle=until_idle), wiring, go_on, watch_store, *_private(wiring)))


@cli.command()
def migrate() -> None:
    """Bring the database to the newest revision (as MIGRATION_DATABASE_URL; the embedded one by itself)."""
    from app.embedded import database_urls
    from app.migrations import run

    settings = settings_here()
    if settings.database_url and not settings.migration_database_url:
        raise click.ClickException("Set MIGRATION_DATABASE_URL to the database as role junier_owner.")

    def upgrade() -> str:
        with database_urls(settings) as urls:
            return "brought to" if run.upgrade(urls.owner) else "already at"

    click.echo(f"The database was {told(upgrade)} revision {run.head()}.")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def doctor(as_json: bool) -> None:
    """Check everything the platform needs, from settings to what is due for erasure.

    Says in plain words what is wrong and how to mend it; exit status 1 when something is broken.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from app.doctor import examine
    from app.findings import State
    from workers.whisper import model_place

    settings = settings_here()
    findings = examine(settings, speech_model=lambda: model_place(settings.speech_model))
    if as_json:
        found = list(findings)
        wrong = sum(finding.state is State.BROKEN for finding in found)
        click.echo(json.dumps({"broken": wrong, "findings": [asdict(finding) for finding in found]}))
        sys.exit(1 if wrong else 0)
    console = Console(highlight=False, soft_wrap=True)
    marks = {State.GOOD: "[green]good  [/]", State.NOTE: "[yellow]note  [/]", State.BROKEN: "[bold]BROKEN[/]"}
    broken = 0
    for finding in findings:
        broken += finding.state is State.BROKEN
        console.print(f"{marks[finding.state]}  {finding.about}: ", end="")
        console.print(finding.says, markup=False)
        if finding.mend:
            console.print(f"          to mend: {finding.mend}", markup=False)
    console.print("Everything needed is there." if not broken else f"{broken} to mend.")
    sys.exit(1 if broken else 0)


for command in (account, backup, restore, ledger, audit, breach, erasure, certificate, operator, keys):
    cli.add_command(command)


@cli.command()
@click.option("--exit", "leave", is_flag=True, help="Stop at the end instead of serving on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary as the last line.")
def demo(leave: bool, as_json: bool) -> None:
    """Show the main job on generated media: invite, consent, record, transcribe, review, erase, certificate.

    Needs nothing but this machine and takes about two minutes; everything is kept in a folder of its own. Exit
    status 0 only if every step proved itself.
    """
    from app.demo.run import run

    sys.exit(run(stay=not leave, as_json=as_json))


def _start_log(settings: Settings) -> None:
    from app.logs import start_log

    start_log(readable=settings.development)


def _private(wiring: Wiring, *gauges: Callable[[], Awaitable[None]]) -> list[Callable[[Wiring], Awaitable[None]]]:
    """The private port as something that runs beside a process, if the settings want one."""
    from app.private_port import PrivatePort, bind, serve
    from app.readiness import Readying

    try:
        bound = bind(wiring.settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    if bound is None:
        return []
    return [lambda _: serve(bound, PrivatePort(Readying(wiring), gauges))]


async def _beside(
    work: Coroutine[None, None, None], wiring: Wiring, *private: Callable[[Wiring], Awaitable[None]]
) -> None:
    """`work` to its end, the private port as long."""
    ports = [asyncio.ensure_future(serve(wiring)) for serve in private]
    try:
        await work
    finally:
        for port in ports:
            port.cancel()
        await asyncio.gather(*ports, return_exceptions=True)


def _leave_to_stay() -> None:
    """Python looks through everything it holds for cycles, in the middle of a page, and the libraries alone are a tenth
    of a second. What is there by now stays for good; of a page's own rows a look each few hundred finds nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)


def _end_with_parent() -> None:
    """The parent holds the other end of standard input: when it is gone, even killed, so are we."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _wiring(settings: Settings) -> Wiring:
    """The ports of a long-lived process; refuses a database that is behind it. One that is ahead is well: during an
    upgrade the old processes go on, and come back when they fall."""
    from app.migrations import run
    from app.store_check import confirm_at_start
    from app.third_parties import check_third_parties
    from app.wiring import open_wiring

    told(lambda: check_third_parties(settings))
    url = _await_database(settings)
    found = run.current(url)
    if not run.serves(found):
        raise click.ClickException(f"The database is at {found}, needed is {run.head()}; run: junier migrate")
    wiring = told(lambda: open_wiring(settings, url))
    told(lambda: confirm_at_start(wiring))
    told(lambda: asyncio.run(_catch_up(wiring)))
    return wiring


async def _catch_up(wiring: Wiring) -> None:
    """A restored database learns what it forgot before anything is served from it; one without its ledger or its keys
    never is."""
    from app.lost_keys import refuse_lost_keys
    from app.privacy.replaying import catch_up
    from app.room.node_client import NodeClient

    try:
        await refuse_lost_keys(wiring)
        await catch_up(wiring, NodeClient(wiring.settings))
    finally:
        await wiring.database.close()  # its connections belong to this event loop


def _await_database(settings: Settings) -> str:
    """Its address as junier_app, once it answers: it may be starting at this moment."""
    import psycopg

    from app.embedded import running

    deadline = time.monotonic() + DATABASE_LIMIT_S
    while time.monotonic() < deadline:
        embedded = None if settings.database_url else running(settings.data_dir)
        url = embedded.app if embedded else settings.database_url
        try:
            if url:
                psycopg.connect(url, connect_timeout=5).close()
                return url
        except psycopg.OperationalError:
            pass
        time.sleep(0.1)
    raise click.ClickException("The database cannot be reached; junier doctor tells more.")


def _say_ready(settings: Settings, urls: Urls, seconds: float) -> None:
    import psycopg

    click.echo(f"Ready after {seconds:.1f} s: {settings.public_url}")
    with psycopg.connect(urls.app) as connection:
        set_up = connection.execute("SELECT any_account()").fetchone() == (True,)
    if not set_up:
        python = Path(sys.executable)
        python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
        click.echo("No account yet. In a second terminal:")
        click.echo(f'  {python} -m app account create --name "My lab" --owner-name Ada --owner-email ada@example.org')
    elif settings.development:
        click.echo(f"Mails wait here: {settings.public_url}/outbox")
    sys.stdout.flush()


def main() -> None:
    cli(prog_name="junier")


if __name__ == "__main__":
    main()
