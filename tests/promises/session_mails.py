"""A session with a moment, who registers for it, and the mails about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from icalendar import Calendar

from app.database import now_in
from app.invitations.service import revoke
from app.mail.models import OutgoingMail
from app.mail.service import MailContent, open_mail
from app.participants.models import Participant
from app.sessions.models import Session
from tests.contracts.test_mailer import Carrier
from tests.promises.world import Guest, World
from workers.mail import send_mail

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


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


async def withdraw_invitation(world: World) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await revoke(db, session=world.lab.session, invitation=world.anna.invitation)


async def open_the_room(world: World) -> None:
    await world.go_live(world.lab)


async def people(world: World, guest: Guest) -> list[Participant]:
    return await world.rows(guest.lab, Participant, Participant.id == guest.person)
