"""Closing an account today: who may, what goes and stays, what a hold keeps, and that no restored backup undoes it.
Days of grace, its certificate and what is taken along stand beside this (test_closing_grace, _end, account_export)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.accounts.closing import ClosingFacts, is_name, may_close
from app.accounts.models import Account, Login, Member, Role, Scope
from app.accounts.service import ask_sign_in
from app.audit import Action, AuditEvent
from app.demo.browser import Browser
from app.invitations.models import Invitation
from app.ledger import ledger_of
from app.ledger_entries import AccountClosed
from app.mail.models import OutgoingMail, Suppression
from app.participants.models import Participant
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import receipt_token
from app.privacy.records.models import Erasure, ErasureReason, ErasureState, RequestKind
from app.privacy.replaying import Replayed, catch_up
from app.privacy.rights.requests import ask
from app.privacy.rights.telling import tell_owners
from app.sessions.models import Note, Recording, Session, SessionState
from app.studies.models import Study
from tests.promises.conftest import world
from tests.promises.drill import backed_up, restored
from tests.promises.test_j4_consent import offer, whip
from tests.promises.world import World

__all__ = ["world"]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLOSE = "/account/close"
TODAY = "/account/close/today"


def facts(*, minutes: int = 0, unanswered: int = 0, endless: int = 0) -> ClosingFacts:
    return ClosingFacts(signed_in_at=NOW - timedelta(minutes=minutes), unanswered=unanswered, endless_holds=endless)


def test_whoever_signed_in_ten_minutes_ago_at_most_may() -> None:
    assert may_close(facts(minutes=10), NOW)
    assert "sign in again" in may_close(facts(minutes=11), NOW).reason


def test_requests_and_endless_holds_are_settled_first() -> None:
    assert "requests" in may_close(facts(unanswered=1), NOW).reason
    assert "review date" in may_close(facts(endless=1), NOW).reason


@pytest.mark.parametrize(
    ("typed", "fits"), [("Kitchen Lab", True), (" Kitchen  Lab ", True), ("kitchen lab", False), ("Kitchen", False)]
)
def test_the_name_is_typed_as_it_stands(typed: str, fits: bool) -> None:
    assert is_name(typed, "Kitchen Lab") is fits


async def close(world: World, browser: Browser | None = None, name: str = "Kitchen Lab") -> int:
    return (await world.post(browser or await world.member(world.lab), TODAY, {"name": name})).status_code


async def closed_at(world: World) -> datetime | None:
    [row] = await world.rows(world.lab, Account)
    return row.closed_at  # type: ignore[no-any-return]


async def test_nobody_closes_it_but_its_owner_freshly_proven_and_by_its_name(world: World) -> None:
    """The other account closes itself, by its own name, and never ours."""
    await world.registered(world.anna)
    stale = await world.member(world.lab)
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Login).values(created_at=datetime.now(UTC) - timedelta(minutes=11)))
    assert "Sign in again" in (await stale.open(CLOSE)).html
    for browser, status in (
        (world.browser(), 401),
        (await world.member(world.lab, Role.RESEARCHER), 403),
        (await world.member(world.lab, Role.OBSERVER), 403),
        (await world.guest(world.anna), 401),
        (await world.guest(world.anna, Scope.ROOM), 401),
        (await world.guest(world.ben), 401),
        (await world.member(world.other), 422),
        (stale, 403),
    ):
        assert await close(world, browser) == status
        assert (await world.post(browser, CLOSE, {"name": "Kitchen Lab"})).status_code == status
        if browser is not stale and status != 422:
            assert (await browser.http.get(CLOSE, follow_redirects=False)).status_code in (status, 303)
    owner = await world.member(world.lab)
    for name in ("", "Other Lab", "kitchen lab"):
        assert await close(world, owner, name) == 422
        assert (await world.post(owner, CLOSE, {"name": name})).status_code == 422
    assert (await world.rows(world.lab, Account))[0].closes_at is None
    assert await closed_at(world) is None and await world.rows(world.lab, Erasure) == []
    assert await close(world, owner) == 303
    assert await closed_at(world) is not None
    assert (await world.rows(world.other, Account))[0].closed_at is None


async def test_all_that_people_left_goes_with_a_certificate_each(world: World) -> None:
    ref = await world.record(await world.registered(world.anna))  # the session goes on
    researcher = await world.member(world.lab, Role.RESEARCHER)
    owner = await world.member(world.lab)
    assert (await world.post(owner, f"/sessions/{world.lab.session}/notes", {"text": "Hesitates", "writing_ms": "0"})
            ).status_code < 400  # fmt: skip
    await world.post(world.browser(), world.ben.unsubscribe)
    said = (await owner.open(CLOSE)).words
    for words in ("2 participants", "1 recording", "1 note", "going on right now", "1 member", "Kitchen Lab"):
        assert words in said
    assert await close(world, owner) == 303
    assert {row.state for row in await world.rows(world.lab, Session)} == {SessionState.ENDED}
    assert await world.rows(world.lab, Erasure) == []  # the click is answered; the job does the rest
    await world.work()
    assert (await world.rows(world.lab, Study))[0].closed_at is not None
    assert {row.state for row in await world.rows(world.lab, Session)} == {SessionState.ENDED}
    assert all(row.revoked_at for row in await world.rows(world.lab, Invitation))
    assert await world.rows(world.lab, Note) == []
    assert [row.role for row in await world.rows(world.lab, Member)] == [Role.OWNER]
    assert (await researcher.http.get("/", follow_redirects=False)).headers.get("location", "").startswith("/sign-in")
    assert (await world.browser().http.get(world.anna.link)).status_code == 404
    erasures = await world.rows(world.lab, Erasure)
    assert {(row.reason, row.state) for row in erasures} == {(ErasureReason.CLOSED, ErasureState.COMPLETE)}
    assert {row.person_id for row in erasures} == {world.anna.person, world.ben.person}
    assert {row.name for row in await world.rows(world.lab, Participant)} == {None}
    assert not [one for one in world.wiring.store.list(f"{world.lab.account}/") if str(ref.recording) in one.key]
    assert len(await world.rows(world.lab, Suppression)) == 1  # whoever unsubscribed is not invited from a backup
    last = (await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.ACCOUNT_CLOSED))[-1]
    assert last.actor == f"member:{world.lab.owner}"
    [line] = [one.entry for one in ledger_of(world.settings).lines() if isinstance(one.entry, AccountClosed)]
    assert (line.account, line.asked_by) == (world.lab.account, last.actor)


async def test_owners_go_on_reading_certificates_and_open_nothing_else(world: World) -> None:
    await world.record(await world.registered(world.anna))
    owner = await world.member(world.lab)
    assert await close(world, owner) == 303
    await world.work()
    async with world.wiring.database.transaction() as db:  # a new login, by mail
        await ask_sign_in(db, world.wiring, email=world.lab.owner_email)
    assert (await world.mail_rows(world.lab, person=world.lab.owner))[-1].template == "sign_in"
    [one, _] = await world.rows(world.lab, Erasure)
    for path in ("/erasures", f"/erasures/{one.id}", f"/erasures/{one.id}/certificate.json"):
        assert (await owner.http.get(path)).status_code == 200, path
    for path in ("/", "/members", "/sessions", f"/studies/{world.lab.study}", "/holds", "/requests", "/audit", CLOSE):
        answer = await owner.http.get(path)
        assert answer.status_code == 410 and "This account is closed" in answer.text, path
        assert 'href="/erasures"' in answer.text and 'href="/members"' not in answer.text
    for path in ("/studies", "/members", f"/sessions/{world.lab.session}/invitations", CLOSE):
        assert (await world.post(owner, path, {"name": "Kitchen Lab"})).status_code == 410, path
    assert (
        await owner.http.get(f"/live/{world.lab.session}", headers={"accept": "application/json"})
    ).status_code >= 400
    assert (await (await world.member(world.other)).http.get("/")).status_code == 200


async def test_closing_twice_closes_once_and_ends_what_is_being_sent(world: World) -> None:
    await world.go_live(world.lab)
    await world.registered(world.anna)
    assert await whip(world, world.anna, await offer(video=True, audio=True)) == 201
    told = len(world.node.permissions)
    first, second = await world.member(world.lab), await world.member(world.lab)
    assert [await close(world, first), await close(world, second)] == [303, 410]
    assert len([one for one in ledger_of(world.settings).lines() if isinstance(one.entry, AccountClosed)]) == 1
    assert len(world.node.permissions) > told  # the media process heard it at once
    assert not world.node.permissions[-1].live and world.node.permissions[-1].streams == {}
    await world.work()
    assert len(await world.rows(world.lab, Erasure)) == 2  # one for each person
    assert [prefix for prefix in world.node.erased if str(world.anna.person) in prefix]


async def test_a_hold_is_said_before_keeps_what_it_keeps_and_then_it_goes(world: World) -> None:
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    owner, day = await world.member(world.lab), datetime.now(UTC) + timedelta(days=30)
    form = {"reason": "complaint", "words": "Mrs Berg wrote", "review": f"{day:%Y-%m-%d}"}
    assert (await world.post(owner, f"/recordings/{ref.recording}/hold", form)).status_code == 303
    assert "A hold keeps 1 recording" in (await owner.open(CLOSE)).words
    assert await close(world, owner) == 303
    await world.work()
    states = {row.person_id: row for row in await world.rows(world.lab, Erasure)}
    assert states[world.anna.person].state == ErasureState.HELD
    assert states[world.ben.person].state == ErasureState.COMPLETE
    assert "goes on by itself when the hold ends" in (await owner.open("/erasures")).words
    assert "Mrs Berg wrote" not in (guest := await (await world.guest(world.anna)).open("/my-data")).words
    assert "anna@people.example" in guest.words  # still hers to see, and the reason it is kept
    token = receipt_token(signing_key(world.settings.data_dir), world.lab.account, states[world.anna.person].id)
    assert (await world.browser().http.get(f"/receipt/{token}")).status_code == 200
    await world.change(world.lab, Recording, ref.recording, held_until=datetime.now(UTC) - timedelta(seconds=1))
    await world.work()
    assert {row.state for row in await world.rows(world.lab, Erasure)} == {ErasureState.COMPLETE}
    assert (await world.browser().http.get(f"/receipt/{token}")).status_code == 200


async def test_requests_are_settled_first_and_owners_get_no_mail_they_could_not_act_on(world: World) -> None:
    account = world.lab.account
    async with world.wiring.database.transaction(account) as db:
        await ask(db, world.wiring, account=account, participant=world.ben.person, kind=RequestKind.RESTRICTION)
    owner = await world.member(world.lab)
    assert "Settle their requests first" in (await owner.open(CLOSE)).words
    assert await close(world, owner) == 409 and await closed_at(world) is None
    assert await world.rows(world.lab, Erasure) == []
    async with world.wiring.database.transaction(account) as db:
        await db.execute(update(Account).values(closed_at=datetime.now(UTC)))
        before = len((await db.scalars(select(OutgoingMail))).all())
        told = await tell_owners(db, world.wiring, account=account, template="request_waiting", key="x", context={})
        assert told == 0 and len((await db.scalars(select(OutgoingMail))).all()) == before


async def test_a_restored_backup_is_closed_again(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
) -> None:
    await world.record(await world.registered(world.anna))
    file = await backed_up(world, owner_url, tmp_path)
    assert await close(world) == 303
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed.others == 1
        [row] = await then.rows(then.lab, Account)
        assert row.closed_at is not None
        assert {one.state for one in await then.rows(then.lab, Session)} == {SessionState.ENDED}
        assert (await then.browser().http.get(world.anna.link)).status_code == 404
        await then.work()
        erasures = await then.rows(then.lab, Erasure)
        assert {one.state for one in erasures} == {ErasureState.COMPLETE} and len(erasures) == 2
        assert {one.name for one in await then.rows(then.lab, Participant)} == {None}
        assert (await (await then.member(then.lab)).http.get("/members")).status_code == 410
        assert await catch_up(then.wiring, then.node) == Replayed()
        assert (await then.rows(then.other, Account))[0].closed_at is None
