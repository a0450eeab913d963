"""T0-18, C1-07: a session that was accepted is confirmed, with a calendar file; nothing of its mails says what
the session is about, and one click ends them all."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import httpx
from icalendar import Calendar

from app.accounts.models import Account, Scope
from app.invitations.reminding import remind_due
from app.mail.models import Suppression
from app.mail.service import MailContent
from app.sessions.models import Session
from app.studies.models import Study
from tests.contracts.test_mailer import Carrier
from tests.promises.session_mails import (
    DAY,
    about_sessions,
    come_in,
    event_of,
    kinds,
    moved,
    people,
    planned,
    post,
    read,
    sent,
    withdraw_invitation,
)
from tests.promises.world import Guest, World

CANARY = "Zinnoberdepression"


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
