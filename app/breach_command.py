"""`junier breach`: whom a breach concerns, for the notification within 72 hours (GDPR Art. 33 and 34)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import click

from app.command_line import told_here
from app.settings import Settings
from app.spreadsheets import as_csv

if TYPE_CHECKING:
    from app.privacy.records.breach import Concerned

_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"])
_HEAD = ["account", "person", "member", "data", "action", "subject", "at", "by", "login", "themselves"]


@click.command()
@click.option("--since", type=_MOMENT, required=True, help="The first moment, UTC: 2026-11-22 or 2026-11-22T14:30.")
@click.option("--until", type=_MOMENT, help="The moment after the last, UTC; now when it is left out.")
@click.option("--account", type=click.UUID, help="Of this account alone.")
@click.option("--with-contacts", is_flag=True, help="Names and addresses too, when an owner asks; noted in their log.")
@click.option("--format", "written", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
def breach(since: datetime, until: datetime | None, account: UUID | None, with_contacts: bool, written: str) -> None:
    """List everybody whose data was read, downloaded or exported in a time, by the audit log: a line for each person
    and each reading, with what was opened, when and by which sign-in.

    Ids only, unless an owner asks for names and addresses. Nobody in the time: the head alone.
    """
    begin, end = since.replace(tzinfo=UTC), (until or datetime.now(UTC)).replace(tzinfo=UTC)
    if begin >= end:
        raise click.BadParameter("has to be later than --since", param_hint="--until")

    def look(settings: Settings) -> list[Concerned]:
        return asyncio.run(_look(settings, begin, end, account, with_contacts))

    found = told_here(look)
    if written == "json":
        click.echo(json.dumps(summary(begin, end, found, with_contacts=with_contacts), indent=2))
    else:
        click.echo(table(found, with_contacts=with_contacts), nl=False)


async def _look(
    settings: Settings, since: datetime, until: datetime, account: UUID | None, with_contacts: bool
) -> list[Concerned]:
    from app.embedded import database_urls
    from app.privacy.records.breach import concerned
    from app.wiring import open_wiring

    with database_urls(settings) as urls:
        wiring = open_wiring(settings, urls.app)
        try:
            return await concerned(
                wiring.database,
                wiring.columns,
                since=since,
                until=until,
                account=account,
                with_contacts=with_contacts,
            )
        finally:
            await wiring.database.close()


def table(found: Sequence[Concerned], *, with_contacts: bool) -> bytes:
    """CSV for spreadsheets, a line for each person and reading."""
    head = [*_HEAD, *(["name", "email"] if with_contacts else [])]
    return as_csv([head, *([_cell(value) for value in _line(one, with_contacts).values()] for one in found)])


def summary(since: datetime, until: datetime, found: Sequence[Concerned], *, with_contacts: bool) -> dict[str, object]:
    """The same for programs, with how many are concerned."""
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "accounts": len({one.account for one in found}),
        "people": len({one.person for one in found}),
        "readings": [_line(one, with_contacts) for one in found],
    }


def _line(one: Concerned, with_contacts: bool) -> dict[str, str | bool]:
    said: dict[str, str | bool] = {
        "account": str(one.account),
        "person": str(one.person),
        "member": one.member,
        "data": one.data,
        "action": str(one.action),
        "subject": one.subject,
        "at": one.at.astimezone(UTC).isoformat(timespec="seconds"),
        "by": one.by,
        "login": one.login,
        "themselves": one.themselves,
    }
    return said | ({"name": one.name, "email": one.email} if with_contacts else {})


def _cell(value: str | bool) -> str:
    return value if isinstance(value, str) else ("yes" if value else "no")
