"""T0-18: whoever registered is reminded once, when the study says so, and nobody who left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from app.accounts.models import Account, Role, Scope
from app.database import now_in
from app.errors import Conflict
from app.invitations.reminding import remind_due
from app.jobs import JobInstruction
from app.mail.models import MailState, OutgoingMail
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import ErasureReason
from app.sessions.models import Session
from app.studies.models import Reminder, Study
from tests.contracts.test_mailer import Carrier
from tests.promises.session_mails import (
    DAY,
    HOUR,
    about_sessions,
    come_in,
    kinds,
    open_the_room,
    planned,
    sent,
    withdraw_invitation,
)
from tests.promises.test_j4_contacts import STUDY_FORM
from tests.promises.world import World
from workers.mail import send_mail


async def test_t0_18_a_reminder_goes_out_once_at_its_time_and_not_a_second_before(world: World, mailtrap: Carrier):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    assert await remind_due(world.wiring, starts_at - DAY - timedelta(seconds=1)) == 0
    assert await remind_due(world.wiring, starts_at - DAY) == 1
    assert await remind_due(world.wiring, starts_at - HOUR) == 0
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "reminder"]
    assert await about_sessions(world, world.ben) == []  # invited, not registered
    subjects = await sent(world, mailtrap, world.anna)
    assert len(subjects) == 2 and subjects[1].startswith("Reminder: your session with Olga Ostrowska")
    assert await sent(world, mailtrap, world.anna) == []
    jobs = await world.rows(world.lab, JobInstruction, JobInstruction.task == "send_mail")
    assert "mail:session" in {job.instruction for job in jobs}


async def test_t0_18_two_workers_at_once_and_one_that_dies_write_one_reminder(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    from app.invitations import reminding

    whole = reminding.tell_participants

    async def dies(*args: Any, **values: Any) -> int:
        await whole(*args, **values)
        raise ConnectionError("killed before it committed")

    with monkeypatch.context() as patch:
        patch.setattr(reminding, "tell_participants", dies)
        with pytest.raises(ExceptionGroup):
            await remind_due(world.wiring, starts_at - DAY)
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed"]
    written = await asyncio.gather(*(remind_due(world.wiring, starts_at - DAY) for _ in range(3)))
    assert sorted(written) == [0, 0, 1]
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "reminder"]


async def test_t0_18_the_study_chooses_when(world: World):
    """On its form; the moments themselves are rules (tests/app/test_session_moment.py)."""
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    owner, path = await world.member(world.lab), f"/studies/{world.lab.study}/edit"
    form = STUDY_FORM | {"title": "Kitchens", "contact_name": "Olga Ostrowska", "contact_email": "olga@lab.example"}
    assert (await world.post(owner, path, form | {"reminder": "weekly"})).status_code == 422
    for reminder in (Reminder.NONE, Reminder.HOUR):
        assert (await world.post(owner, path, form | {"reminder": reminder})).status_code == 303
        assert await remind_due(world.wiring, starts_at - DAY) == 0
        assert await remind_due(world.wiring, starts_at - HOUR) == (reminder == Reminder.HOUR)
    assert 'value="hour" selected' in (await owner.open(path)).html


async def test_t0_18_a_researcher_sees_it_and_switches_it_off_and_on(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    page = f"/sessions/{world.lab.session}"
    researcher, observer = await world.member(world.lab, Role.RESEARCHER), await world.member(world.lab, Role.OBSERVER)
    assert f"{starts_at - DAY:%H:%M} (UTC)" in (await researcher.open(page)).html
    assert (await world.post(observer, f"{page}/reminder", {"on": "no"})).status_code == 403
    assert (await world.post(researcher, f"{page}/reminder", {"on": "perhaps"})).status_code == 422
    assert (await world.post(researcher, f"{page}/reminder", {"on": "no"})).status_code == 303
    assert "Switched off" in (await researcher.open(page)).words
    assert await remind_due(world.wiring, starts_at - HOUR) == 0
    await world.post(researcher, f"{page}/reminder", {"on": "yes"})
    assert await remind_due(world.wiring, starts_at - HOUR) == 1
    assert "Sent to everybody who was registered" in (await researcher.open(page)).words


async def test_t0_18_whoever_unsubscribed_from_invitations_is_still_reminded_and_never_invited(
    world: World, mailtrap: Carrier
):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    assert (await world.browser().http.post(world.anna.unsubscribe, data={"a": "b"})).status_code == 200
    await remind_due(world.wiring, starts_at - DAY)
    for row in await world.mail_rows(world.lab, person=world.anna.person):
        await send_mail(world.wiring, mailtrap.mailer, world.lab.account, row.id)
    assert len(mailtrap.arrived) == 2 and all("session with Olga" in mail["subject"] for mail in mailtrap.arrived)
    await withdraw_invitation(world)
    with pytest.raises(Conflict, match="unsubscribed"):
        await world.invite(world.lab, "Anna", world.anna.email)


async def erase(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await ask_erasure(
            db,
            account=world.lab.account,
            person=world.anna.person,
            reason=ErasureReason.REQUEST,
            asked_by="test",
            instruction="test",
        )


async def take_back_every_consent(world: World) -> None:
    guest, path = await world.guest(world.anna, Scope.ROOM), f"/take-part/{world.lab.session}"
    await world.post(guest, path, {"consent": ["audio", "video"]})
    await world.post(guest, path, {"consent": []})


async def want_none(world: World) -> None:
    assert (await world.browser().http.post(f"{world.anna.unsubscribe}/sessions")).status_code == 200


async def let_it_begin(world: World) -> None:
    async with world.wiring.database.transaction() as db:
        begun = await now_in(db)
    await world.change(world.lab, Session, world.lab.session, starts_at=begun)


LEFT: Sequence[Callable[[World], Any]] = (
    erase,
    withdraw_invitation,
    take_back_every_consent,
    want_none,
    open_the_room,
    let_it_begin,
)


@pytest.mark.parametrize("left", LEFT, ids=lambda left: left.__name__)
async def test_t0_18_nobody_is_reminded_who_left_or_when_it_has_begun(
    world: World, mailtrap: Carrier, left: Callable[[World], Any]
):
    """Neither is sent what waits already, nor anything more written."""
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    assert await remind_due(world.wiring, starts_at - DAY) == 1
    await left(world)
    assert await sent(world, mailtrap, world.anna) == []
    assert {row.state for row in await about_sessions(world, world.anna)} <= {MailState.SUPPRESSED}
    async with world.wiring.database.transaction(world.lab.account) as db:  # as if none had been written yet
        await db.execute(delete(OutgoingMail).where(OutgoingMail.template == "session"))
    await world.change(world.lab, Session, world.lab.session, reminded_at=None)
    assert await remind_due(world.wiring, starts_at - HOUR) == 0


async def test_t0_18_one_accounts_trouble_keeps_no_other_from_its_reminders(world: World):
    """A study whose contact cannot be opened."""
    starts_at = await planned(world, time_zone="UTC")
    await world.change(world.other, Session, world.other.session, starts_at=starts_at, time_zone="UTC")
    there = await world.invite(world.other, "Cem", "cem@people.example")
    await come_in(world, world.anna)
    await come_in(world, there)
    await world.change(world.other, Study, world.other.study, contact_name=b"broken")
    with pytest.raises(ExceptionGroup):
        await remind_due(world.wiring, starts_at - DAY)
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "reminder"]
    [session] = await world.rows(world.other, Session)
    assert session.reminded_at is None  # the next minute tries again


async def test_t0_18_an_account_about_to_be_closed_reminds_nobody(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    async with world.wiring.database.transaction(world.lab.account) as db:
        (await db.get_one(Account, world.lab.account)).closes_at = starts_at + DAY
    assert await remind_due(world.wiring, starts_at - DAY) == 0
