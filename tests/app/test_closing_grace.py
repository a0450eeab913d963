"""The days of grace: a closing is announced, everybody hears of it, nothing new begins, an owner keeps the account, and
on the day the worker closes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.accounts.closing import GRACE, ClosingFacts, closing_day, may_announce, settled
from app.accounts.models import Account, Login, Member, Role, Scope
from app.accounts.service import add_member
from app.audit import Action, AuditEvent
from app.demo.browser import Browser
from app.invitations.models import Invitation
from app.ledger import ledger_of
from app.ledger_entries import AccountKept, ClosingAnnounced
from app.participants.models import Participant
from app.privacy.erasing.service import ask_erasure
from app.privacy.keeping import closing_steps
from app.privacy.keeping.closing_job import run_closing, take_up_closings
from app.privacy.keeping.closing_steps import Left, Step, next_step
from app.privacy.records.models import Erasure, ErasureState, RequestKind
from app.privacy.rights.requests import ask
from app.sessions.models import Session, SessionState
from recordings.model import PersonId
from tests.promises.conftest import world
from tests.promises.drill import backed_up, restored
from tests.promises.world import World

__all__ = ["world"]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLOSE, TODAY, KEEP = "/account/close", "/account/close/today", "/account/keep"
NAME = {"name": "Kitchen Lab"}
NOTHING_LEFT = {
    "sessions": 0, "news": 0, "people": 0, "recordings": 0, "notes": 0, "kept_notes": 0, "members": 0, "erasing": 0,
    "stuck": 0, "mails": 0, "told": True,
}  # fmt: skip


def test_it_closes_at_the_first_midnight_after_fourteen_days() -> None:
    assert closing_day(NOW) == datetime(2026, 12, 7, tzinfo=UTC)
    assert closing_day(datetime(2026, 11, 22, tzinfo=UTC)) == datetime(2026, 12, 6, tzinfo=UTC)
    assert all(closing_day(NOW + timedelta(minutes=m)) - NOW - timedelta(minutes=m) >= GRACE for m in range(0, 1500, 7))


def test_announcing_and_keeping_need_a_fresh_proof_and_nothing_else() -> None:
    assert may_announce(NOW - timedelta(minutes=10), NOW)
    assert "sign in again" in may_announce(NOW - timedelta(minutes=11), NOW).reason
    assert settled(ClosingFacts(signed_in_at=NOW - timedelta(days=9), unanswered=0, endless_holds=0))
    assert not settled(ClosingFacts(signed_in_at=NOW, unanswered=1, endless_holds=0))


@pytest.mark.parametrize(
    ("left", "step"),
    [
        ({"sessions": 1, "people": 1, "members": 1}, Step.SESSIONS),
        ({"sessions": 1, "news": 1}, Step.SESSIONS),
        ({"news": 1, "people": 1}, Step.NEWS),
        ({"people": 1, "notes": 1}, Step.PEOPLE),
        ({"recordings": 1, "notes": 1}, Step.PEOPLE),
        ({"notes": 1, "members": 1}, Step.NOTES),
        ({"members": 1, "erasing": 1}, Step.MEMBERS),
        ({"erasing": 1, "stuck": 1}, Step.WAIT),
        ({"stuck": 1, "told": False}, Step.HELD),
        ({"kept_notes": 1}, Step.HELD),
        ({"told": False, "mails": 1}, Step.TELL),
        ({"mails": 1}, Step.MAILS),
        ({}, Step.DESTROY),
    ],
)
def test_the_accounts_key_goes_last(left: dict[str, Any], step: Step) -> None:
    assert next_step(Left(**NOTHING_LEFT | left)) is step


async def account(world: World) -> Account:
    [row] = await world.rows(world.lab, Account)
    return row  # type: ignore[no-any-return]


async def second_owner(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await add_member(
            db, world.wiring.columns, account=world.lab.account, name="Oda", email="oda@lab.example", role=Role.OWNER
        )


async def announced(world: World, owner: Browser | None = None) -> Browser:
    owner = owner or await world.member(world.lab)
    assert (await world.post(owner, CLOSE, NAME)).status_code == 303
    return owner


async def the_day_comes(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Account).values(closes_at=datetime.now(UTC) - timedelta(seconds=1)))


async def sweep(world: World) -> int:
    return await take_up_closings(world.wiring, datetime.now(UTC))


async def test_announced_everybody_is_told_and_sees_it_and_nothing_new_begins(world: World) -> None:
    await world.registered(world.anna)
    await second_owner(world)
    researcher, owner = await world.member(world.lab, Role.RESEARCHER), await world.member(world.lab)
    assert "Kitchen Lab” closes on" not in (await owner.open(CLOSE)).words
    assert {await offered(researcher, path, form) for path, form in beginnings(world)} == {True}
    before = datetime.now(UTC)
    await announced(world, owner)
    earliest, latest = closing_day(before), closing_day(datetime.now(UTC))
    for browser in (owner, researcher):
        for path, form in beginnings(world):
            assert not await offered(browser, path, form), path
    day = (await account(world)).closes_at
    assert day in (earliest, latest)
    mails = [mail for mail in await world.mails(world.lab) if "will be closed on" in mail.subject]
    assert {mail.to for mail in mails} == {"olga@lab.example", "oda@lab.example", "help@platform.example"}
    [to_contact] = [mail for mail in mails if mail.to == "help@platform.example"]
    for word in ("Kitchen Lab", "Olga", "olga@", "Anna"):
        assert word not in to_contact.subject + to_contact.text + to_contact.html
    assert str(world.lab.account) in to_contact.text
    for path in ("/", "/members", "/sessions", f"/studies/{world.lab.study}", "/retention", "/erasures"):
        page = await owner.open(path)
        assert "This account closes on" in page.words and 'action="/account/keep"' in page.html, path
    page = await researcher.open("/sessions")
    assert "This account closes on" in page.words and "/account/keep" not in page.html
    assert "closes on" not in (await (await world.member(world.other)).open("/")).words
    for path, values in (
        (f"/sessions/{world.lab.session}/invitations", {"name": "Cleo", "email": "cleo@people.example"}),
        (f"/studies/{world.lab.study}/sessions", {"title": "Second visit", "time_zone": "Europe/Berlin"}),
        (f"/rooms/{world.lab.session}/open", {}),
    ):
        refused = await world.post(owner, path, values)
        assert refused.status_code == 409 and "about to be closed" in refused.text, path
    assert len(await world.rows(world.lab, Session)) == 1
    assert len(await world.rows(world.lab, Invitation)) == 2
    guest = await world.guest(world.anna)
    assert "anna@people.example" in (await guest.open("/my-data")).words
    assert (await guest.http.get("/my-data/export.zip")).status_code == 200
    assert await sweep(world) == 0 and (await account(world)).closed_at is None
    assert await world.rows(world.lab, Erasure) == []


def beginnings(world: World) -> list[tuple[str, str]]:
    """Pages on which something new begins, and what they offer for it."""
    session, study = f"/sessions/{world.lab.session}", f"/studies/{world.lab.study}"
    return [
        (study, f'href="{study}/sessions/new"'),
        (f"{study}/sessions/new", f'action="{study}/sessions"'),
        (session, f'action="{session}/invitations"'),
        (f"{session}/invitations/list", f'action="{session}/invitations/list"'),
        (f"{session}/moment", f'action="{session}/moment"'),
        ("/", 'href="/studies/new"'),
    ]


async def offered(browser: Browser, path: str, form: str) -> bool:
    """Where it is not, the page says why, and nothing is refused."""
    page = await browser.open(path)
    assert page.status == 200, path
    if form in page.html:
        return True
    assert "closes on" in page.words and (path == "/" or "about to be closed" in page.words), path
    return False


async def test_recording_does_not_begin_any_more(world: World) -> None:
    """What goes on goes on; a room that stood open before records nothing new."""
    owner = await world.member(world.lab)
    assert (await world.post(owner, f"/rooms/{world.lab.session}/open")).status_code == 204
    await announced(world, owner)
    refused = await world.post(owner, f"/rooms/{world.lab.session}/start")
    assert refused.status_code == 409 and "about to be closed" in refused.text
    assert (await world.post(owner, f"/rooms/{world.lab.session}/end")).status_code == 204


async def test_an_owner_keeps_it_with_one_click_freshly_proven_and_nobody_else_does(world: World) -> None:
    await world.registered(world.anna)
    stale = await announced(world)
    await announced(world)  # saying it again changes nothing
    assert len([mail for mail in await world.mails(world.lab) if "will be closed on" in mail.subject]) == 2
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Login).values(created_at=datetime.now(UTC) - timedelta(minutes=11)))
    for browser, status in (
        (world.browser(), 401),
        (await world.member(world.lab, Role.RESEARCHER), 403),
        (await world.member(world.lab, Role.OBSERVER), 403),
        (await world.guest(world.anna), 401),
        (await world.guest(world.ben, Scope.ROOM), 401),
        (await world.member(world.other), 303),  # its own, which was not announced
        (stale, 403),
    ):
        assert (await world.post(browser, KEEP)).status_code == status
    assert (await account(world)).closes_at is not None
    assert "Sign in again" in (await stale.open(CLOSE)).html
    assert (await world.post(stale, TODAY, NAME)).status_code == 403
    owner = await world.member(world.lab)
    assert (await world.post(owner, KEEP)).status_code == 303
    assert (await world.post(owner, KEEP)).status_code == 303  # a double click
    row = await account(world)
    assert row.closes_at is None and row.closing_asked_by is None
    assert "closes on" not in (await owner.open("/")).words
    invited = await world.post(
        owner, f"/sessions/{world.lab.session}/invitations", {"name": "Cleo", "email": "cleo@people.example"}
    )
    assert invited.status_code == 303
    assert len([mail for mail in await world.mails(world.lab) if "is not closed" in mail.subject]) == 2
    said = [one.entry for one in ledger_of(world.settings).lines()]
    assert [type(one) for one in said if isinstance(one, ClosingAnnounced | AccountKept)] == [
        ClosingAnnounced,
        AccountKept,
    ]
    log = [event.action for event in await world.rows(world.lab, AuditEvent, order=AuditEvent.number)]
    assert log.count(Action.ACCOUNT_CLOSING) == log.count(Action.ACCOUNT_KEPT) == 1


async def test_on_its_day_the_worker_closes_it(world: World) -> None:
    await world.record(await world.registered(world.anna))
    owner = await announced(world)
    await the_day_comes(world)
    assert await sweep(world) == 0  # the job was begun with the closing itself
    row = await account(world)
    assert row.closed_at is not None and row.closing_asked_by == f"member:{world.lab.owner}"
    assert (await owner.http.get("/members")).status_code == 410
    assert (await world.post(owner, KEEP)).status_code == 410
    await world.work()
    assert {one.state for one in await world.rows(world.lab, Erasure)} == {ErasureState.COMPLETE}
    assert {one.state for one in await world.rows(world.lab, Session)} == {SessionState.ENDED}
    assert (await world.rows(world.other, Account))[0].closed_at is None


async def test_what_is_not_settled_holds_it_up_and_the_owners_hear_of_it_once(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await ask(db, world.wiring, account=world.lab.account, participant=world.ben.person, kind=RequestKind.ACCESS)
    owner = await world.member(world.lab)
    assert "You can announce it now" in (await owner.open(CLOSE)).words
    assert (await world.post(owner, TODAY, NAME)).status_code == 409
    await announced(world, owner)
    assert "Until then it does not close" in (await owner.open(CLOSE)).words
    await the_day_comes(world)
    for _ in range(2):
        assert await sweep(world) == 0
    assert (await account(world)).closed_at is None
    told = [mail for mail in await world.mails(world.lab) if "could not be closed yet" in mail.subject]
    assert {mail.to for mail in told} == {"olga@lab.example", "help@platform.example"} and len(told) == 2
    [to_owner] = [mail for mail in told if mail.to == "olga@lab.example"]
    assert "Settle their requests first" in to_owner.text


async def test_a_run_that_is_killed_is_taken_up_where_it_stood(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In portions of one, killed in the third: what was asked stays asked, and nobody is asked twice."""
    for name in ("Cleo", "Dora", "Emil"):
        await world.invite(world.lab, name, f"{name.lower()}@people.example")
    for _ in range(3):
        async with world.wiring.database.transaction(world.lab.account) as db:
            await add_member(
                db, world.wiring.columns, account=world.lab.account, name="R", email=f"{uuid4()}@lab.example",
                role=Role.RESEARCHER,
            )  # fmt: skip
    monkeypatch.setattr(closing_steps, "PORTION", 1)
    assert (await world.post(await world.member(world.lab), TODAY, NAME)).status_code == 303
    asked: list[PersonId] = []

    async def killed(*args: Any, **values: Any) -> Any:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(values["person"])
        return await ask_erasure(*args, **values)

    monkeypatch.setattr(closing_steps, "ask_erasure", killed)
    with pytest.raises(KeyboardInterrupt):
        await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert [row.person_id for row in await world.rows(world.lab, Erasure, order=Erasure.asked_at)] == asked
    owner = await world.member(world.lab)
    assert "0 of 3 erasures are complete. 5 people are left" in (await owner.open("/erasures")).words
    monkeypatch.setattr(closing_steps, "ask_erasure", ask_erasure)
    assert await sweep(world) == 0  # its job waits still
    await run_closing(world.wiring, world.lab.account, nodes=world.node)
    erasures = await world.rows(world.lab, Erasure)
    people = {row.id for row in await world.rows(world.lab, Participant)}
    assert len(erasures) == 5 and {row.person_id for row in erasures} == people
    assert [row.role for row in await world.rows(world.lab, Member)] == [Role.OWNER]
    await run_closing(world.wiring, world.lab.account, nodes=world.node)  # twice is once
    assert len(await world.rows(world.lab, Erasure)) == 5


async def test_a_restored_backup_knows_what_was_announced_and_what_was_taken_back(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
) -> None:
    """From before it was announced: it closes on the day that was said. The other account's was announced in the
    backup and taken back since: it does not close."""
    theirs = await world.member(world.other)
    assert (await world.post(theirs, CLOSE, {"name": "Other Lab"})).status_code == 303
    file = await backed_up(world, owner_url, tmp_path)
    await announced(world)
    day = (await account(world)).closes_at
    assert (await world.post(theirs, KEEP)).status_code == 303
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed.others == 2
        row = await account(then)
        assert (row.closes_at, row.closing_asked_by) == (day, f"member:{world.lab.owner}")
        assert row.closed_at is None and await sweep(then) == 0
        [other] = await then.rows(then.other, Account)
        assert other.closes_at is None and other.closed_at is None
        assert "closes on" not in (await (await then.member(then.other)).open("/")).words
