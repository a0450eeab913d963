"""T0-18, T0-19, C1-07: a session that was accepted is confirmed and reminded of, once, with a calendar file; moving and
cancelling it is told; nothing of it says what the session is about, and one click ends it all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from icalendar import Calendar
from sqlalchemy import delete

from app.accounts.models import Account, Role, Scope
from app.database import now_in
from app.errors import Conflict
from app.invitations.models import Invitation
from app.invitations.reminding import remind_due
from app.invitations.service import revoke
from app.jobs import JobInstruction
from app.mail.models import MailState, OutgoingMail, Suppression
from app.mail.service import MailContent, open_mail
from app.participants.models import Participant
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import ErasureReason
from app.sessions.models import Session
from app.studies.models import Reminder, Study
from tests.contracts.test_mailer import Carrier
from tests.promises.test_j4_contacts import STUDY_FORM
from tests.promises.world import Guest, World
from workers.mail import send_mail

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CANARY = "Zinnoberdepression"


async def at_noon(world: World, days: int = 5) -> datetime:
    """Noon of a day to come by the database's clock; in Berlin it is 12:00 UTC + 1 or 2 hours."""
    async with world.wiring.database.transaction() as db:
        return (await now_in(db)).replace(hour=12, minute=0, second=0, microsecond=0) + days * DAY


async def planned(world: World, **values: Any) -> datetime:
    """The lab's session has a moment."""
    starts_at: datetime = values.setdefault("starts_at", await at_noon(world))
    await world.change(world.lab, Session, world.lab.session, **values)
    return starts_at


async def come_in(world: World, guest: Guest) -> None:
    """Registers on the invitation's page, as people do."""
    answer = await world.post(world.browser(), guest.link, {"name": guest.name, "email": guest.email})
    assert answer.status_code == 303


async def about_sessions(world: World, guest: Guest) -> list[OutgoingMail]:
    return [row for row in await world.mail_rows(guest.lab, person=guest.person) if row.template == "session"]


async def read(world: World, guest: Guest) -> list[MailContent]:
    opened = [open_mail(world.wiring.columns, row) for row in await about_sessions(world, guest)]
    return [mail for mail in opened if mail is not None]


async def post(world: World, path: str, values: dict[str, str] | None = None) -> httpx.Response:
    """By the owner."""
    return await world.post(await world.member(world.lab), f"/sessions/{world.lab.session}/{path}", values)


async def moved(world: World, to: datetime) -> httpx.Response:
    return await post(world, "moment", {"starts_at": f"{to.astimezone(UTC):%Y-%m-%dT%H:%M}", "time_zone": "UTC"})


async def sent(world: World, mailtrap: Carrier, guest: Guest) -> list[str]:
    """What reaches the guest of what waits about sessions, by subject."""
    before = len(mailtrap.arrived)
    for row in await about_sessions(world, guest):
        await send_mail(world.wiring, mailtrap.mailer, guest.lab.account, row.id)
    return [mail["subject"] for mail in mailtrap.arrived[before:]]


def event_of(file: str | bytes) -> Any:
    [event] = Calendar.from_ical(file).walk("VEVENT")
    return event


def kinds(mails: Sequence[OutgoingMail]) -> list[str]:
    return [row.key.split("-")[1] for row in mails]


async def test_t0_18_registering_is_confirmed_with_the_moment_and_a_calendar_file(world: World, mailtrap: Carrier):
    starts_at = await planned(world, time_zone="Europe/Berlin")
    await come_in(world, world.anna)
    [mail] = await read(world, world.anna)
    local = starts_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert f"{local:%H:%M} (Europe/Berlin)" in mail.text and f"{local:%A}" in mail.subject
    assert f"{world.settings.public_url.rstrip('/')}{world.anna.link}" in mail.text
    file = Calendar.from_ical(mail.calendar)
    event = event_of(mail.calendar)
    assert (file["METHOD"], file["VERSION"]) == ("PUBLISH", "2.0")
    assert event["DTSTART"].dt == starts_at and event["UID"] == str(world.anna.invitation)
    assert (event["SEQUENCE"], event["STATUS"], "ATTENDEE" in event) == (0, "CONFIRMED", False)
    assert event["ORGANIZER"] == f"mailto:{world.lab.contact_email}"
    assert await sent(world, mailtrap, world.anna) == [mail.subject]
    [attached] = mailtrap.arrived[-1]["attached"]
    assert attached == ("session.ics", "text/calendar; method=PUBLISH; charset=utf-8", mail.calendar)
    await come_in(world, world.anna)  # the link again
    assert len(await about_sessions(world, world.anna)) == 1


async def test_t0_18_without_a_moment_there_is_nothing_to_confirm(world: World):
    await come_in(world, world.anna)
    guest = await world.guest(world.anna, Scope.ROOM)
    assert await about_sessions(world, world.anna) == []
    assert (await guest.http.get(f"/take-part/{world.lab.session}/calendar")).status_code == 404
    assert "calendar" not in (await guest.open(f"/take-part/{world.lab.session}")).html


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


async def withdraw_invitation(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await revoke(db, session=world.lab.session, invitation=world.anna.invitation)


async def take_back_every_consent(world: World) -> None:
    guest, path = await world.guest(world.anna, Scope.ROOM), f"/take-part/{world.lab.session}"
    await world.post(guest, path, {"consent": ["audio", "video"]})
    await world.post(guest, path, {"consent": []})


async def want_none(world: World) -> None:
    assert (await world.browser().http.post(f"{world.anna.unsubscribe}/sessions")).status_code == 200


async def open_the_room(world: World) -> None:
    await world.go_live(world.lab)


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


async def test_t0_18_moving_it_is_told_once_with_the_next_version_of_the_file(world: World, mailtrap: Carrier):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    await remind_due(world.wiring, starts_at - DAY)
    later = starts_at + 40 * DAY
    assert (await moved(world, later)).status_code == 303
    assert (await moved(world, later)).status_code == 303  # pressed twice
    rows = await about_sessions(world, world.anna)
    assert kinds(rows) == ["confirmed", "reminder", "moved"]
    news = (await read(world, world.anna))[-1]
    event = event_of(news.calendar)
    assert (event["SEQUENCE"], event["DTSTART"].dt, event["UID"]) == (1, later, str(world.anna.invitation))
    assert f"{later:%H:%M} (UTC)" in news.subject
    assert await sent(world, mailtrap, world.anna) == [news.subject]  # what named the old moment stays here
    assert await remind_due(world.wiring, starts_at - HOUR) == 0
    assert await remind_due(world.wiring, later - DAY) == 1
    [invitation] = await world.rows(world.lab, Invitation, Invitation.id == world.anna.invitation)
    assert invitation.expires_at > later
    assert await about_sessions(world, world.ben) == []


async def test_t0_18_a_moment_that_is_past_or_does_not_exist_moves_nothing(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    gap = {"starts_at": "2031-03-30T02:30", "time_zone": "Europe/Berlin"}
    for status, form in (
        (409, {"starts_at": "2020-01-01T10:00", "time_zone": "UTC"}),
        (422, {"starts_at": "", "time_zone": "UTC"}),
        (422, {"starts_at": "2031-02-30T10:00", "time_zone": "UTC"}),
        (422, {"starts_at": "2031-03-03T10:00", "time_zone": "Moon/Crater"}),
        (422, gap),
    ):
        answer = await post(world, "moment", form)
        assert (answer.status_code, 'class="wrong"' in answer.text) == (status, True), form
    await open_the_room(world)
    assert (await moved(world, starts_at + DAY)).status_code == 409
    [session] = await world.rows(world.lab, Session)
    assert (session.starts_at, session.moves) == (starts_at, 0)
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed"]


async def test_t0_18_moved_so_late_that_the_mail_about_it_is_the_reminder(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    async with world.wiring.database.transaction() as db:
        soon = (await now_in(db)).replace(second=0, microsecond=0) + 3 * HOUR
    await moved(world, soon)
    assert await remind_due(world.wiring, soon - HOUR) == 0
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "moved"]
    assert starts_at != soon
    assert "so late that it is the reminder" in (await (await world.member(world.lab)).open(
        f"/sessions/{world.lab.session}"
    )).words  # fmt: skip


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


async def test_t0_18_the_file_is_offered_on_the_page_to_whoever_takes_part_alone(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    path = f"/take-part/{world.lab.session}"
    guest = await world.guest(world.anna, Scope.ROOM)
    assert f'href="{path}/calendar"' in (await guest.open(path)).html
    answer = await guest.http.get(f"{path}/calendar")
    assert answer.headers["content-type"] == "text/calendar; method=PUBLISH; charset=utf-8"
    assert 'filename="session.ics"' in answer.headers["content-disposition"]
    assert event_of(answer.content)["DTSTART"].dt == starts_at
    there = await world.invite(world.other, "Cem", "cem@people.example")
    for somebody in (world.browser(), await world.guest(there), await world.member(world.lab)):
        assert (await somebody.http.get(f"{path}/calendar")).status_code in (401, 403, 404)
    assert (await (await world.guest(world.ben)).http.get(f"{path}/calendar")).status_code == 200  # invited too
    await withdraw_invitation(world)
    guest = await world.guest(world.anna, Scope.ROOM)
    assert (await guest.http.get(f"{path}/calendar")).status_code == 404


async def test_t0_19_cancelling_tells_everybody_once_and_stops_the_reminder(world: World, mailtrap: Carrier):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    await remind_due(world.wiring, starts_at - DAY)  # waits in the queue
    assert (await post(world, "cancel")).status_code == 303
    assert (await post(world, "cancel")).status_code == 409
    rows = await about_sessions(world, world.anna)
    assert kinds(rows) == ["confirmed", "reminder", "cancelled"]
    assert await remind_due(world.wiring, starts_at - HOUR) == 0
    [subject] = await sent(world, mailtrap, world.anna)
    assert subject == "Cancelled: your session with Olga Ostrowska"
    file = (await read(world, world.anna))[-1].calendar
    event = event_of(file)
    assert (Calendar.from_ical(file)["METHOD"], event["STATUS"], event["SEQUENCE"]) == ("CANCEL", "CANCELLED", 1)
    assert event["UID"] == str(world.anna.invitation)
    assert mailtrap.arrived[-1]["attached"][0][1] == "text/calendar; method=CANCEL; charset=utf-8"
    assert await about_sessions(world, world.ben) == []  # not registered: their link says so
    guest = await world.guest(world.anna, Scope.ROOM)
    assert "cancelled" in (await guest.open(f"/take-part/{world.lab.session}")).words


async def test_t0_19_cancelled_before_the_reminder_was_due_none_is_written(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    await post(world, "cancel")
    assert await remind_due(world.wiring, starts_at - DAY) == 0
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "cancelled"]


async def test_t0_19_ending_it_from_the_room_before_it_was_opened_is_told_too(world: World):
    await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    answer = await world.post(await world.member(world.lab), f"/rooms/{world.lab.session}/end")
    assert answer.status_code == 204
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "cancelled"]


async def test_t0_19_a_session_that_took_place_is_not_called_cancelled(world: World):
    await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    await open_the_room(world)
    assert (await post(world, "cancel")).status_code == 409
    await world.end(world.lab)
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed"]


async def everything_told(world: World, guest: Guest) -> list[MailContent]:
    """Confirmed, reminded, moved and cancelled."""
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, guest)
    await remind_due(world.wiring, starts_at - DAY)
    await moved(world, starts_at + DAY)
    await post(world, "cancel")
    mails = await read(world, guest)
    assert kinds(await about_sessions(world, guest)) == ["confirmed", "reminder", "moved", "cancelled"]
    return mails


async def test_c1_07_no_mail_and_no_file_says_what_the_session_is_about(world: World):
    await world.change(world.lab, Study, world.lab.study, title=f"{CANARY} study")
    await world.change(world.lab, Session, world.lab.session, title=f"{CANARY} visit")
    async with world.wiring.database.transaction(world.lab.account) as db:
        (await db.get_one(Account, world.lab.account)).name = f"Clinic for {CANARY}"
    for mail in await everything_told(world, world.anna):
        shown = "\n".join([mail.subject, mail.text, mail.html, mail.calendar, *mail.headers.values()])
        assert CANARY.lower() not in shown.lower()
        unfolded = mail.calendar.replace("\r\n ", "")
        assert set(re.findall(r"^([A-Z-]+)[;:]", unfolded, re.MULTILINE)) == {
            "BEGIN", "END", "VERSION", "PRODID", "METHOD", "UID", "SEQUENCE", "DTSTAMP", "DTSTART", "STATUS", "CLASS",
            "SUMMARY", "DESCRIPTION", "ORGANIZER",
        }  # fmt: skip
        for secret in (world.anna.link, world.anna.unsubscribe, world.anna.name, world.anna.email, "http"):
            assert secret not in unfolded
    guest = await world.guest(world.anna, Scope.ROOM)
    await world.change(world.lab, Session, world.lab.session, state="scheduled")
    assert CANARY not in (await guest.http.get(f"/take-part/{world.lab.session}/calendar")).text


async def test_c1_07_they_speak_the_participants_language(world: World):
    await planned(world, time_zone="Europe/Berlin")
    german = world.browser()
    german.http.headers["accept-language"] = "de"
    await world.post(german, world.anna.link, {"name": "Anna", "email": world.anna.email})
    [mail] = await read(world, world.anna)
    assert mail.subject.startswith("Ihre Sitzung mit Olga Ostrowska") and "Guten Tag Anna" in mail.text
    assert event_of(mail.calendar)["SUMMARY"] == "Sitzung mit Olga Ostrowska"


async def test_c1_07_one_click_in_any_of_them_ends_them_and_nothing_else(world: World, mailtrap: Carrier):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    await come_in(world, world.ben)
    [mail] = await read(world, world.anna)
    stop = mail.headers["List-Unsubscribe"].strip("<>")
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert stop in mail.text and "Unsubscribe from mails about your sessions" in mail.text and stop in mail.html
    assert "Privacy notice of" in mail.text and world.lab.contact_email in mail.text
    path = httpx.URL(stop).path
    shown = await world.browser().open(path)
    assert [person.no_session_mails_at for person in await people(world, world.anna)] == [None]  # a scanner looked
    assert shown.status == 200 and world.lab.contact_name in shown.html
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url=world.settings.origin) as program:
        for _ in range(2):
            assert (await program.post(path, data={"List-Unsubscribe": "One-Click"})).status_code == 200
        assert (await program.post("/unsubscribe/" + "x" * 43 + "/sessions")).status_code == 404
    assert await remind_due(world.wiring, starts_at - DAY) == 1  # Ben
    assert await sent(world, mailtrap, world.anna) == []
    assert len(await sent(world, mailtrap, world.ben)) == 2
    assert await world.rows(world.lab, Suppression) == []  # invitations are another list


async def people(world: World, guest: Guest) -> list[Participant]:
    return await world.rows(guest.lab, Participant, Participant.id == guest.person)


async def test_c1_07_they_are_had_again_on_the_sessions_page_by_the_participant_alone(world: World):
    starts_at = await planned(world, time_zone="UTC")
    await come_in(world, world.anna)
    path = f"/take-part/{world.lab.session}"
    guest, ben = await world.guest(world.anna, Scope.ROOM), await world.guest(world.ben, Scope.ROOM)
    assert (await world.post(guest, f"{path}/mails", {"wanted": "no"})).status_code == 303
    assert "You get no mails about your sessions" in (await guest.open(path)).words
    assert (await world.post(guest, f"{path}/mails", {"wanted": ""})).status_code == 422
    for somebody in (world.browser(), await world.member(world.lab)):
        assert (await world.post(somebody, f"{path}/mails", {"wanted": "yes"})).status_code in (401, 403, 404)
    await world.post(ben, f"{path}/mails", {"wanted": "yes"})
    assert (await people(world, world.anna))[0].no_session_mails_at is not None
    assert await remind_due(world.wiring, starts_at - DAY) == 0
    await world.post(guest, f"{path}/mails", {"wanted": "yes"})
    await moved(world, starts_at + DAY)
    assert kinds(await about_sessions(world, world.anna))[-1] == "moved"
