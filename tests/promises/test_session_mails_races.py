"""T0-18, T0-19: whoever registers at the moment at which the session is moved or cancelled hears of it all the same;
whoever wants none of these mails gets none after a restore either."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

import app.privacy.rights.take_part as take_part
from app.privacy.replaying import Replayed, catch_up
from tests.contracts.test_mailer import Carrier
from tests.promises.drill import backed_up, restored
from tests.promises.session_mails import DAY, about_sessions, come_in, kinds, moved, people, planned, post, read, sent
from tests.promises.world import World


async def test_t0_18_moved_while_they_register_they_get_the_new_time(
    world: World, mailtrap: Carrier, monkeypatch: pytest.MonkeyPatch
):
    starts_at = await planned(world, time_zone="UTC")
    later, register = starts_at + 3 * DAY, take_part.register

    async def slowly(*args: Any, **kwargs: Any) -> bool:
        assert (await moved(world, later)).status_code == 303
        return await register(*args, **kwargs)

    monkeypatch.setattr(take_part, "register", slowly)
    await come_in(world, world.anna)
    [mail] = await read(world, world.anna)
    assert f"{later:%H:%M} (UTC)" in mail.subject and f"{later:%A}" in mail.subject
    assert await sent(world, mailtrap, world.anna) == [mail.subject]


async def test_t0_19_cancelled_while_they_register_they_are_told(
    world: World, mailtrap: Carrier, superuser_url: str, monkeypatch: pytest.MonkeyPatch
):
    await planned(world, time_zone="UTC")
    tell, cancelling = take_part.tell, list[asyncio.Task[Any]]()

    async def in_between(*args: Any, **kwargs: Any) -> bool:
        cancelling.append(asyncio.create_task(post(world, "cancel")))
        await waited_for(superuser_url)
        return await tell(*args, **kwargs)

    monkeypatch.setattr(take_part, "tell", in_between)
    await come_in(world, world.anna)
    assert (await cancelling[0]).status_code == 303
    assert kinds(await about_sessions(world, world.anna)) == ["confirmed", "cancelled"]
    [subject] = await sent(world, mailtrap, world.anna)
    assert subject.startswith("Cancelled")


async def waited_for(superuser_url: str) -> None:
    """Until one transaction of this database waits for another one's rows; the server is shared with other tests."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND wait_event <> 'advisory' AND datname = current_database()"
    )
    async with asyncio.timeout(120):
        while True:
            with psycopg.connect(superuser_url) as connection:
                [(number,)] = connection.execute(waiting).fetchall()
            if number:
                return
            await asyncio.sleep(0.05)


async def test_c1_07_who_wants_no_mails_gets_none_after_a_restore(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """Of Anna the backup knows that she wants them, of Ben that he does not."""
    for guest in (world.anna, world.ben):
        await come_in(world, guest)
    path = f"/take-part/{world.lab.session}/mails"
    await world.post(await world.guest(world.ben), path, {"wanted": "no"})
    file = await backed_up(world, owner_url, tmp_path)
    await world.post(await world.guest(world.anna), path, {"wanted": "no"})
    await world.post(await world.guest(world.ben), path, {"wanted": "yes"})
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(others=2)
        [anna], [ben] = await people(then, world.anna), await people(then, world.ben)
        assert anna.no_session_mails_at is not None and ben.no_session_mails_at is None
        assert await catch_up(then.wiring, then.node) == Replayed()


async def test_c1_07_that_they_wanted_none_goes_with_the_person(world: World):
    await come_in(world, world.anna)
    guest = await world.guest(world.anna)
    await world.post(guest, f"/take-part/{world.lab.session}/mails", {"wanted": "no"})
    await world.post(guest, "/my-data/erase", {"sure": "yes"})
    await world.work()
    [anna] = await people(world, world.anna)
    assert anna.erased_at is not None and anna.no_session_mails_at is None
