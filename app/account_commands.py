"""Commands about accounts, the customers of this installation. Each imports what it needs inside itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import click

from app.command_line import settings_here, told, with_database

if TYPE_CHECKING:
    from app.wiring import Wiring


@click.group()
def account() -> None:
    """Accounts: the customers of this installation."""


@account.command("create")
@click.option("--name", required=True, help='Name of the account, such as "User research, Example Ltd".')
@click.option("--owner-name", required=True, help="First name and surname of its owner.")
@click.option("--owner-email", required=True, help="E-mail address the owner signs in with.")
def create(name: str, owner_name: str, owner_email: str) -> None:
    """Create an account and its owner.

    In development the owner's sign-in link is printed (it works once, for 10 minutes, while `junier serve` runs);
    in production it is mailed.
    """
    _require_address(owner_email)
    settings = settings_here()
    link = told(lambda: with_database(settings, lambda wiring: _create(wiring, name, owner_name, owner_email)))
    click.echo(f"Account {name} is there. Sign in as {owner_name}:")
    click.echo(link or f"a link was mailed to {owner_email}")


@account.command("let-in")
@click.argument("account_id", type=click.UUID)
def let_in(account_id: UUID) -> None:
    """Let a mailed link be enough again for an account that asks for passkeys: its only owner has lost theirs.

    Make sure first, in another way, who is asking. The account's audit log says that the platform did it.
    """
    click.echo(told(lambda: with_database(settings_here(), lambda wiring: _let_in(wiring, account_id))))


@account.command("give-owner")
@click.argument("account_id", type=click.UUID)
@click.option("--owner-name", required=True, help="First name and surname, where they are no member yet.")
@click.option("--owner-email", required=True, help="E-mail address they sign in with.")
def give_owner(account_id: UUID, owner_name: str, owner_email: str) -> None:
    """Give an account that nobody owns any more an owner again: junier doctor names it after a restore.

    Make sure first, in another way, who is asking. The account's audit log says that the platform did it.
    """
    _require_address(owner_email)
    settings = settings_here()
    act = partial(_give_owner, account_id=account_id, name=owner_name, email=owner_email)
    link = told(lambda: with_database(settings, act))
    click.echo(link or f"The owner of {account_id} signs in by a link that was mailed to {owner_email}")


def _require_address(mail: str) -> None:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(mail, check_deliverability=False, test_environment=settings_here().development)
    except EmailNotValidError as error:
        raise click.BadParameter(str(error), param_hint="--owner-email") from None


async def _give_owner(wiring: Wiring, account_id: UUID, name: str, email: str) -> str:
    """The sign-in link in development, "" when it was mailed."""
    from app.accounts.ownership import give_owner as give
    from app.accounts.service import ask_sign_in, make_link
    from recordings.model import AccountId

    account = AccountId(account_id)
    async with wiring.database.transaction(account) as db:
        member = await give(db, wiring.columns, account=account, name=name, email=email)
        if wiring.settings.development:
            return await make_link(db, wiring.settings, account=account, member=member)
        await ask_sign_in(db, wiring, email=email)
    return ""


async def _create(wiring: Wiring, name: str, owner_name: str, owner_email: str) -> str:
    """The sign-in link in development, "" when it was mailed."""
    from app.accounts.service import ask_sign_in, create_account, make_link
    from app.audit import SYSTEM, Action, record

    async with wiring.database.transaction() as db:
        made, owner = await create_account(
            db, wiring.columns, name=name, owner_name=owner_name, owner_email=owner_email
        )
        await record(db, account=made, actor=SYSTEM, action=Action.ACCOUNT_CREATED, subject=f"account:{made}")
        if wiring.settings.development:
            return await make_link(db, wiring.settings, account=made, member=owner)
        await ask_sign_in(db, wiring, email=owner_email)
    return ""


async def _let_in(wiring: Wiring, account_id: UUID) -> str:
    from app.accounts.passkeys import set_passkeys_needed
    from app.audit import SYSTEM
    from recordings.model import AccountId

    made = AccountId(account_id)
    async with wiring.database.transaction(made) as db:
        await set_passkeys_needed(db, account=made, needed=False, by=SYSTEM)
    return "A mailed link is enough again. Its owner removes the lost passkey on the page behind their name."
