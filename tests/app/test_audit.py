"""The audit log is a chain: every change behind our back shows."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import psycopg
import pytest

from app.audit import FIRST, SYSTEM, Action, record, verify
from recordings.model import AccountId


async def three_events(database) -> AccountId:
    account = AccountId(uuid4())
    async with database.transaction(account) as db:
        for number, action in enumerate((Action.STUDY_CREATED, Action.INVITED, Action.CONSENT_GIVEN)):
            await record(
                db, account=account, actor=SYSTEM, action=action, subject=f"thing:{number}", facts={"n": number}
            )
    return account


async def verdict(database, account):
    async with database.transaction(account) as db:
        return await verify(db, account)


def tamper(superuser_url: str, *statements: str) -> None:
    """As somebody with full power over the database."""
    with psycopg.connect(superuser_url) as connection:
        connection.execute("ALTER TABLE audit_event DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(statement.encode())


async def test_an_untouched_chain_holds(database):
    account = await three_events(database)
    found = await verdict(database, account)
    assert (found.intact, found.events, found.broken_at) == (True, 3, None)
    assert found.last != FIRST


async def test_an_empty_chain_holds(database):
    assert (await verdict(database, AccountId(uuid4()))).intact


@pytest.mark.parametrize(
    "change, broken_at",
    [
        ("UPDATE audit_event SET subject = 'thing:9' WHERE number = 2", 2),
        ("UPDATE audit_event SET facts = '{\"n\": 7}' WHERE number = 1", 1),
        ("UPDATE audit_event SET at = at + interval '1 microsecond' WHERE number = 3", 3),
        ("UPDATE audit_event SET actor = 'member:1' WHERE number = 1", 1),
        ("DELETE FROM audit_event WHERE number = 2", 2),
        ("DELETE FROM audit_event WHERE number = 1", 1),
        ("UPDATE audit_event SET number = 5 - number WHERE number <> 1", 2),
        ("UPDATE audit_event SET number = number + 1", 1),
    ],
)
async def test_an_edited_removed_or_reordered_event_breaks_it(database, superuser_url, change, broken_at):
    account = await three_events(database)
    tamper(superuser_url, "ALTER TABLE audit_event DROP CONSTRAINT audit_event_account_id_number_key", change)
    found = await verdict(database, account)
    assert (found.intact, found.broken_at) == (False, broken_at)


async def test_a_cut_off_end_shows_against_a_hash_kept_elsewhere(database, superuser_url):
    account = await three_events(database)
    kept = (await verdict(database, account)).last
    tamper(superuser_url, "DELETE FROM audit_event WHERE number = 3")
    assert (await verdict(database, account)).last != kept


async def test_an_event_of_another_account_does_not_fit_in(database, superuser_url):
    account, other = await three_events(database), await three_events(database)
    tamper(
        superuser_url,
        f"DELETE FROM audit_event WHERE number = 3 AND account_id = '{account}'",
        f"UPDATE audit_event SET account_id = '{account}' WHERE number = 3 AND account_id = '{other}'",
    )
    assert (await verdict(database, account)).broken_at == 3


async def test_events_written_at_the_same_time_still_make_one_chain(database):
    account = AccountId(uuid4())

    async def write() -> None:
        async with database.transaction(account) as db:
            await record(db, account=account, actor=SYSTEM, action=Action.SIGNED_IN, subject="login:1")

    await asyncio.gather(*(write() for _ in range(8)))
    found = await verdict(database, account)
    assert (found.intact, found.events) == (True, 8)


async def test_rolling_back_leaves_no_event(database):
    account = await three_events(database)
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with database.transaction(account) as db:
            await record(db, account=account, actor=SYSTEM, action=Action.SIGNED_IN, subject="login:1")
            raise RuntimeError
    assert (await verdict(database, account)).events == 3


@pytest.mark.parametrize(
    "event",
    [
        {"action": "made:this:up"},
        {"subject": "ada@example.org"},
        {"actor": "ada@example.org"},
        {"facts": {"to": "ada@example.org"}},
    ],
)
async def test_unknown_actions_and_addresses_are_refused(database, event):
    account = AccountId(uuid4())
    sound = {"actor": SYSTEM, "action": Action.SIGNED_IN, "subject": "login:1"}
    async with database.transaction(account) as db:
        with pytest.raises(ValueError):
            await record(db, account=account, **{**sound, **event})
