"""Commands about the ledger of erasures. Each imports what it needs inside itself, as all commands do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from app.command_line import told_here
from app.settings import Settings

if TYPE_CHECKING:
    from app.ledger import Ledger
    from app.ledger_lines import Checked


@click.group()
def ledger() -> None:
    """The ledger of erasures, beside the keys: what a restored database has to learn again."""


@ledger.command("check")
@click.option("--accept-loss", is_flag=True, help="Go on without the damaged lines; every account's audit log says so.")
def check(accept_loss: bool) -> None:
    """Look at every line, and name the ones that are damaged and what may be lost with them. Exit status 1 if one is.

    Nothing starts while a line is damaged. Put back the folder ledger/ from a copy that is whole. Where there is none,
    --accept-loss goes on: what the lines said is not done again when an older backup is restored.
    """
    from app.ledger import ledger_of

    found = told_here(ledger_of)
    damage = told_here(lambda _: found.damage())
    _say(found, damage)
    if not damage or not accept_loss:
        sys.exit(1 if damage else 0)
    accounts = told_here(lambda settings: asyncio.run(_accept(settings, found, damage)))
    click.echo(f"Accepted; the audit logs of {accounts} accounts say so.")


def _say(found: Ledger, damage: Sequence[Checked]) -> None:
    for one in damage:
        click.echo(f"{found.path}, line {one.number}, bytes {one.at} to {one.end}: {one.damage}")
    whole = sum(1 for one in found.file.checked() if not one.damage)
    torn = len(found.file.torn.read_bytes().splitlines()) if found.file.torn.exists() else 0
    if torn:
        click.echo(
            f"{found.file.torn}: {torn} half-written lines, as a loss of power leaves them; they said nothing yet."
        )
    if damage:
        click.echo(f"{len(damage)} damaged, {whole} lines whole. A damaged line may be about anybody: who was erased,")
        click.echo(
            "took a consent back, or was removed. A backup made after it knows that; one from before it does not."
        )
    else:
        click.echo(f"{whole} lines, all whole, {found.size()} bytes.")


async def _accept(settings: Settings, found: Ledger, damage: Sequence[Checked]) -> int:
    """In the logs first: nobody goes on without saying so."""
    from sqlalchemy import text

    from app.audit import SYSTEM, Action, record
    from app.database import Database
    from app.embedded import database_urls
    from recordings.model import AccountId

    with database_urls(settings) as urls:
        database = Database(urls.app)
        try:
            async with database.transaction() as db:
                accounts = list(await db.scalars(text("SELECT account_id FROM audit_heads()")))
            for account in accounts:
                async with database.transaction(AccountId(account)) as db:
                    for one in damage:
                        await record(
                            db,
                            account=account,
                            actor=SYSTEM,
                            action=Action.LEDGER_LOSS_ACCEPTED,
                            subject=f"ledger:{found.identity()}",
                            facts={"line": one.number, "byte": one.at, "mark": one.mark},
                        )
        finally:
            await database.close()
    found.accept(damage)
    return len(accounts)
