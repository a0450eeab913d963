"""Whoever is expected to a session when its account closes hears that it does not take place: once, by the rule of any
cancelled session, and while their address can still be opened."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from app.accounts.models import Role
from app.invitations.session_mails import tell_participants
from app.mail.models import MailState, OutgoingMail
from app.privacy.keeping import closing_job, closing_steps
from app.privacy.keeping.closing_job import run_closing, take_up_closings
from app.privacy.keeping.closing_steps import NEWS_PATIENCE
from app.privacy.records.models import Erasure, ErasureState
from app.sessions.models import Session, SessionState
from app.sessions.service import end, open_room, schedule
from recordings.encryption.keystore import KeyPath
from tests.app.test_closing_grace import CLOSE, KEEP, NAME, TODAY, account, announced, the_day_comes
from tests.promises.conftest import world
from tests.promises.session_mails import about_sessions, come_in, event_of, kinds, planned, read
from tests.promises.world import Guest, World
from tests.workers.test_send_mail import BUSY, REFUSED, Carrier
from workers.__main__ import build
from workers.mail import send_mail
from workers.mailer import Mail, MailError

__all__ = ["world"]


@pytest.fixture
def carrier(world: World, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    """What the workers hand over; only it and the media process are doubles."""
    carrier = Carrier()
    monkeypatch.setattr("workers.__main__.open_mailer", lambda settings: carrier)
    monkeypatch.setattr("workers.__main__.NodeClient", lambda settings: world.node)
    return carrier


async def minutes(world: World, count: int = 1) -> None:
    """The worker does all that waits, and the sweep looks again, as it does every minute."""
    async with build(world.wiring).open_async() as engine:
        engine.periodic_registry.periodic_tasks.clear()
        for _ in range(count):
            await engine.run_worker_async(queues=["light"], wait=False, install_signal_handlers=False)
            await take_up_closings(world.wiring, datetime.now(UTC))


async def another_session(world: World, name: str, starts_at: datetime | None) -> tuple[UUID, Guest]:
    """With somebody who registered for it."""
    lab = world.lab
    async with world.wiring.database.transaction(lab.account) as db:
        session = await schedule(db, account=lab.account, study=lab.study, title=name, starts_at=starts_at)
    guest = await world.invite(lab, name, f"{name.lower()}@people.example", session=session)
    await come_in(world, guest)
    return session, guest


async def close(world: World) -> None:
    assert (await world.post(await world.member(world.lab), TODAY, NAME)).status_code == 303


def cancellations(carrier: Carrier) -> list[Mail]:
    return [mail for mail in carrier.sent if "METHOD:CANCEL" in mail.calendar]


async def test_everybody_expected_is_told_once_and_then_all_of_them_is_erased(
    world: World, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real jobs, from the click to the account's own key. Anna reads German, Ben gets no more invitations, Dora no
    mails about her sessions."""
    monkeypatch.setattr(closing_steps, "PORTION", 1)
    starts_at = await planned(world, time_zone="Europe/Berlin")
    german = world.browser()
    german.http.headers["accept-language"] = "de"
    await world.post(german, world.anna.link, {"name": "Anna", "email": world.anna.email})
    await come_in(world, world.ben)
    await world.post(world.browser(), world.ben.unsubscribe)
    _, cleo = await another_session(world, "Cleo", starts_at + timedelta(days=30))
    _, dora = await another_session(world, "Dora", starts_at)
    [confirmed] = await read(world, dora)
    stop = httpx.URL(confirmed.headers["List-Unsubscribe"].strip("<>")).path
    assert (await world.post(world.browser(), stop, {"List-Unsubscribe": "One-Click"})).status_code == 200
    await world.invite(world.lab, "Emil", "emil@people.example")  # did not register
    cancelled, _ = await another_session(world, "Fritz", starts_at)
    over, _ = await another_session(world, "Gerda", starts_at)
    going_on, _ = await another_session(world, "Hugo", starts_at)
    await another_session(world, "Ida", None)
    await another_session(world, "Jan", datetime.now(UTC) - timedelta(minutes=1))  # should have begun
    owner = await world.member(world.lab)
    assert (await world.post(owner, f"/sessions/{cancelled}/cancel")).status_code == 303
    async with world.wiring.database.transaction(world.lab.account) as db:
        for session in (over, going_on):
            await open_room(db, session=session)
        await end(db, session=over)
    await world.member(world.lab, Role.OBSERVER)
    there = await world.invite(world.other, "Kim", "kim@people.example")
    await world.change(world.other, Session, world.other.session, starts_at=starts_at)
    await come_in(world, there)
    await minutes(world)
    assert [mail.to_address for mail in cancellations(carrier)] == ["fritz@people.example"]
    carrier.sent.clear()
    assert "2 sessions planned for before" in (await owner.open(CLOSE)).words  # Anna's and Dora's

    await close(world)
    assert (await world.post(owner, TODAY, NAME)).status_code == 410
    await minutes(world)
    people = (world.anna, world.ben, cleo)
    assert Counter(mail.to_address for mail in cancellations(carrier)) == Counter(one.email for one in people)
    await minutes(world, 8)
    assert len(cancellations(carrier)) == len(people)
    [mail] = [mail for mail in cancellations(carrier) if mail.to_address == world.anna.email]
    assert mail.subject == "Abgesagt: Ihre Sitzung mit Olga Ostrowska" and "findet nicht statt" in mail.text
    assert event_of(mail.calendar)["DTSTART"].dt == starts_at
    stop = mail.headers["List-Unsubscribe"].strip("<>")
    assert stop in mail.text and world.lab.contact_email in mail.text and "Datenschutz" in mail.text
    assert (await account(world)).gone_at is not None
    assert {row.state for row in await world.rows(world.lab, Erasure)} == {ErasureState.COMPLETE}
    assert not any(world.wiring.keys.exists(KeyPath(world.lab.account, one.person)) for one in people)
    assert await world.mail_rows(world.lab) == []


async def test_announced_nobody_is_told_as_it_may_be_kept_and_on_its_day_they_are(
    world: World, carrier: Carrier
) -> None:
    await planned(world)
    await come_in(world, world.anna)
    owner = await world.member(world.lab)
    for _ in ("asked", "announced"):
        said = (await owner.open(CLOSE)).words
        assert "1 session planned for before" in said and "mailed that it does not take place" in said
        await announced(world, owner)
    await minutes(world)
    assert (await world.post(owner, KEEP)).status_code == 303
    await minutes(world)
    assert cancellations(carrier) == []
    assert (await world.rows(world.lab, Session))[0].state == SessionState.SCHEDULED
    await announced(world, owner)
    await the_day_comes(world)
    await minutes(world, 4)
    assert [mail.to_address for mail in cancellations(carrier)] == [world.anna.email]
    assert {row.state for row in await world.rows(world.lab, Erasure)} == {ErasureState.COMPLETE}


async def run(world: World) -> list[Any]:
    """The closing's job, of which the mails' jobs have not run. Returns what it asked to be erased."""
    await run_closing(world.wiring, world.lab.account, nodes=world.node)
    return await world.rows(world.lab, Erasure)


async def sent(world: World, carrier: Carrier) -> str:
    """One try of Anna's cancellation. Returns what its row says then."""
    mail = (await about_sessions(world, world.anna))[-1]
    with suppress(MailError):
        await send_mail(world.wiring, carrier, world.lab.account, mail.id)
    return (await about_sessions(world, world.anna))[-1].state


async def test_erasures_wait_for_a_mail_that_is_tried_again_and_for_none_that_was_refused(
    world: World, carrier: Carrier
) -> None:
    await planned(world)
    await come_in(world, world.anna)
    await close(world)
    assert await run(world) == []
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "cancelled"]
    carrier.refuses = BUSY
    assert await sent(world, carrier) == MailState.WAITING
    assert await run(world) == []
    carrier.refuses = REFUSED
    assert await sent(world, carrier) == MailState.FAILED
    assert len(await run(world)) == 2


async def test_a_mail_that_does_not_leave_holds_up_nobodys_erasure(world: World, carrier: Carrier) -> None:
    await planned(world)
    await come_in(world, world.anna)
    await close(world)
    assert await run(world) == []
    async with world.wiring.database.transaction(world.lab.account) as db:
        earlier = OutgoingMail.created_at - NEWS_PATIENCE
        await db.execute(update(OutgoingMail).values(created_at=earlier))
    assert len(await run(world)) == 2
    assert await sent(world, carrier) == MailState.SUPPRESSED and carrier.sent == []


async def test_a_run_that_is_killed_while_it_tells_them_tells_them_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planned(world)
    await come_in(world, world.anna)
    await close(world)

    async def killed(*args: Any, **values: Any) -> int:
        await tell_participants(*args, **values)
        raise KeyboardInterrupt

    monkeypatch.setattr(closing_job, "tell_participants", killed)
    with pytest.raises(KeyboardInterrupt):
        await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert (await world.rows(world.lab, Session))[0].state == SessionState.SCHEDULED
    monkeypatch.setattr(closing_job, "tell_participants", tell_participants)
    for _ in range(2):
        await run_closing(world.wiring, world.lab.account, nodes=world.node)
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "cancelled"]
