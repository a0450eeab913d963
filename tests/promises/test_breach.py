"""C1-29: whom a breach concerns is listed from the audit log, in minutes: nobody too few, nobody of others."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest

from app.audit import Action, AuditEvent
from app.breach_command import summary, table
from app.privacy.records.breach import EVERYTHING, PURPOSE, READINGS, Concerned, concerned
from tests.promises.world import World

OPENS = ("read", "viewed", "downloaded", "exported", "watched_live", "reviewed", "data:opened", "data:shown")
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


async def listed(world: World, **asked: object) -> list[Concerned]:
    times = {"since": LONG_AGO, "until": LATER} | asked
    return await concerned(world.wiring.database, world.wiring.columns, **times)  # type: ignore[arg-type]


async def opened_by_the_owner(world: World) -> UUID:
    """Anna's and Ben's sessions were recorded; somebody with the owner's sign-in opens Anna's alone."""
    recording = (await world.record(await world.registered(world.anna))).recording
    await world.end(world.lab)
    owner = await world.member(world.lab)
    await owner.http.get(f"/recordings/{recording}/media")
    await owner.http.get(f"/recordings/{recording}/media?purpose=analysis&download=1")
    await owner.http.get(f"/sessions/{world.lab.session}/review")
    return recording


def test_c1_29_every_action_that_opens_somebodys_data_is_looked_for():
    """A new one that reads, and that nobody has thought of here, fails."""
    assert {action for action in Action if action.endswith(OPENS)} == set(READINGS)


async def test_c1_29_who_was_read_by_whom_and_when_is_listed_and_nobody_else(world: World):
    recording = await opened_by_the_owner(world)
    found = await listed(world)
    assert {(one.person, one.member) for one in found} == {(world.anna.person, False)}
    assert {one.account for one in found} == {world.lab.account}
    [played] = [one for one in found if one.action is Action.RECORDING_VIEWED]
    assert played.subject == f"recording:{recording}" and played.data == "recording"
    assert played.by == f"member:{world.lab.owner}" and played.login and not played.themselves
    assert Action.SESSION_REVIEWED in {one.action for one in found}
    assert await listed(world, account=world.other.account) == []
    assert await listed(world, account=world.lab.account) == found
    first, last = min(one.at for one in found), max(one.at for one in found)
    assert await listed(world, until=first) == [] == await listed(world, since=last + timedelta(microseconds=1))
    assert found[0] in await listed(world, since=first, until=first + timedelta(microseconds=1))


async def test_c1_29_what_was_erased_before_was_not_read_and_what_is_erased_since_was(world: World):
    await opened_by_the_owner(world)
    before = await listed(world)
    await world.post(await world.guest(world.anna), "/my-data/erase", {"confirm": "yes"})
    await world.work()
    assert [one for one in await listed(world) if one.action is Action.RECORDING_VIEWED] == [
        one for one in before if one.action is Action.RECORDING_VIEWED
    ]
    owner = await world.member(world.lab)
    await owner.http.get(f"/sessions/{world.lab.session}/review")
    last = max(one.at for one in before)
    assert len(await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.SESSION_REVIEWED)) == 2
    since = await listed(world, since=last + timedelta(microseconds=1))
    assert [one for one in since if one.action is Action.SESSION_REVIEWED] == []
    assert world.anna.email not in str(await listed(world, with_contacts=True)), "and no name opens any more"


async def test_c1_29_whoever_opened_their_own_data_is_told_apart(world: World):
    guest = await world.guest(await world.registered(world.anna))
    await guest.http.get("/my-data/export.zip")
    found = await listed(world)
    assert {(one.person, one.themselves, one.data) for one in found} == {(world.anna.person, True, EVERYTHING)}


async def test_c1_29_names_and_addresses_are_opened_only_when_asked_for_and_that_is_in_the_log(world: World):
    await opened_by_the_owner(world)
    found = await listed(world)
    assert {(one.name, one.email) for one in found} == {("", "")}
    assert await exports(world) == []
    opened = await listed(world, with_contacts=True)
    assert {(one.name, one.email) for one in opened} == {(world.anna.name, world.anna.email)}
    [noted] = await exports(world)
    assert (noted.actor, noted.subject) == ("system", f"participant:{world.anna.person}")
    assert noted.facts == {"purpose": PURPOSE}
    assert Action.CONTACTS_EXPORTED in {one.action for one in await listed(world)}, "this reading is one too"


async def exports(world: World) -> list[AuditEvent]:
    return await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.CONTACTS_EXPORTED)


ONE = Concerned(
    account=UUID(int=1),
    person=UUID(int=2),
    member=False,
    data="recording",
    action=Action.RECORDING_VIEWED,
    subject="recording:3",
    at=datetime(2026, 11, 22, 14, 30, tzinfo=UTC),
    by="member:4",
    login="5",
    name="=HYPERLINK(1)",
    email="+anna@home.example",
)


@pytest.mark.parametrize("contacts", [True, False])
def test_c1_29_the_table_runs_no_formula_and_says_no_more_than_asked(contacts: bool):
    [line] = csv.DictReader(StringIO(table([ONE], with_contacts=contacts).decode("utf-8-sig")))
    assert (line["person"], line["at"]) == (str(ONE.person), "2026-11-22T14:30:00+00:00")
    assert (line["member"], line["themselves"]) == ("no", "no")
    assert line.get("name") == ("'=HYPERLINK(1)" if contacts else None)
    assert line.get("email") == ("'+anna@home.example" if contacts else None)
    written = json.dumps(summary(ONE.at, ONE.at, [ONE, ONE], with_contacts=contacts))
    assert json.loads(written)["people"] == 1 and ("HYPERLINK" in written) is contacts
