"""T0-18, T0-19: moving or cancelling a session is told once to whoever registered, with the file's next version."""

from __future__ import annotations

from icalendar import Calendar

from app.accounts.models import Scope
from app.database import now_in
from app.invitations.models import Invitation
from app.invitations.reminding import remind_due
from app.sessions.models import Session
from tests.contracts.test_mailer import Carrier
from tests.promises.session_mails import (
    DAY,
    HOUR,
    about_sessions,
    come_in,
    event_of,
    kinds,
    moved,
    open_the_room,
    planned,
    post,
    read,
    sent,
)
from tests.promises.world import World


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
