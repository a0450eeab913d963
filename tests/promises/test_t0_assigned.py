"""T0-12, T0-13, T0-16, T0-17, C1-13: in a study that is seen by those assigned alone, a session and all that belongs to
it is there for owners and for whoever is assigned to it, and for nobody else of the account."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from app.accounts.assignments import assign, unassign
from app.accounts.login import start_login
from app.accounts.models import Assignment, Role, Scope
from app.accounts.service import add_member
from app.audit import AuditEvent
from app.demo.browser import Browser
from app.privacy.replaying import Replayed, catch_up
from app.room.room import permission
from app.room.rows import one_moment, read_room
from app.sessions import service as sessions
from app.sessions.models import Recording
from app.studies.models import Study
from recordings.model import PersonId, SessionId
from tests.promises.drill import backed_up, restored
from tests.promises.test_j4_access import UUIDS, addresses, ask
from tests.promises.test_j4_copies import MINE, unpacked
from tests.promises.world import ANSWERED, CONSENT_TEXT, Lab, World, answer_after_the_session

NOT_THERE = (401, 403, 404, 405, 422)


async def member(world: World, role: Role, name: str) -> PersonId:
    async with world.wiring.database.transaction(world.lab.account) as db:
        return await add_member(
            db, world.wiring.columns, account=world.lab.account, name=name, email=f"{name}@lab.example", role=role
        )


async def browser_of(world: World, person: PersonId) -> Browser:
    async with world.wiring.database.transaction(world.lab.account) as db:
        cookie = await start_login(db, world.settings, account=world.lab.account, scope=Scope.MEMBER, member=person)
    return world.browser(cookie.value or "")


async def limit(world: World) -> None:
    """From now on the lab's study is seen by those assigned alone."""
    await world.change(world.lab, Study, world.lab.study, assigned_only=True)


async def give(world: World, person: PersonId, *given: UUID) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        for session in given:
            await assign(db, account=world.lab.account, session=session, member=person, by="system")


async def take(world: World, person: PersonId, session: UUID) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        await unassign(db, account=world.lab.account, session=session, member=person, by="system")


async def visit(world: World, title: str, day: int) -> Lab:
    """Another session of the study, on that day."""
    async with world.wiring.database.transaction(world.lab.account) as db:
        starts_at = datetime(2030, 1, day, 9, tzinfo=UTC)
        session = await sessions.schedule(
            db, account=world.lab.account, study=world.lab.study, title=title, starts_at=starts_at, group=True
        )
    return replace(world.lab, session=session)


async def everything_of(world: World) -> list[tuple[str, str]]:
    """Every page and action of the application, with ids of one session full of data in it."""
    found, session = await addresses(world), world.lab.session
    return [*found, ("POST", f"/whip?session={session}&stream=camera"), ("OPTIONS", f"/whip?session={session}")]


async def of_the_session(world: World) -> list[tuple[str, str]]:
    """Of everything what has something of the session in its address."""
    found = await everything_of(world)
    recordings = [str(row.id) for row in await world.rows(world.lab, Recording)]
    ids = {str(world.lab.session), str(world.anna.invitation), str(world.anna.person), *recordings}
    return [(method, path) for method, path in found if ids & set(UUIDS.findall(path))]


async def test_t0_17_whoever_is_not_assigned_meets_a_session_as_one_that_never_was(world: World):
    """Every route of the application with something of a session in it: the same answer as for an invented id."""
    found = await of_the_session(world)
    assert len(found) > 35
    await limit(world)
    for role in (Role.RESEARCHER, Role.OBSERVER):
        browser, wrong = await browser_of(world, await member(world, role, f"un{role}")), {}
        for method, path in found:
            invented = UUIDS.sub(lambda _: str(uuid4()), path)
            got, expected = await ask(browser, method, path), await ask(browser, method, invented)
            if got != expected or (got not in NOT_THERE and method != "OPTIONS"):
                wrong[f"{method} {path}"] = (got, expected)
        assert wrong == {}, role


async def test_t0_12_whoever_is_assigned_meets_it_as_in_a_study_that_all_see(world: World):
    found = [(method, path) for method, path in await of_the_session(world) if method in ("GET", "HEAD")]
    found = [(method, path) for method, path in found if not path.endswith("/status")]  # goes on and on
    roles = (Role.RESEARCHER, Role.OBSERVER)
    people = {role: await member(world, role, f"for{role}") for role in roles}
    browsers = {role: await browser_of(world, person) for role, person in people.items()}
    before = {role: [await ask(browser, *path) for path in found] for role, browser in browsers.items()}
    assert before[Role.RESEARCHER].count(200) > 5 and before[Role.OBSERVER].count(200) > 1
    await limit(world)
    for role, browser in browsers.items():
        await give(world, people[role], world.lab.session)
        assert [await ask(browser, *path) for path in found] == before[role], role
    owner = await world.member(world.lab)
    assert (await owner.open(f"/sessions/{world.lab.session}")).status == 200


async def test_t0_12_a_member_assigned_sees_name_and_address_and_nobody_else_does(world: World):
    await world.registered(world.anna)
    await limit(world)
    page = f"/sessions/{world.lab.session}"
    for role in (Role.RESEARCHER, Role.OBSERVER):
        person = await member(world, role, f"in{role}")
        browser = await browser_of(world, person)
        assert await ask(browser, "GET", page) == 404
        await give(world, person, world.lab.session)
        words = (await browser.open(page)).words
        assert "Anna" in words and "anna@people.example" in words
        await take(world, person, world.lab.session)
        assert await ask(browser, "GET", page) == 404


async def test_t0_17_no_list_count_or_page_says_that_it_is_there(world: World):
    found = await everything_of(world)
    later = await visit(world, "Second visit", 9)
    await limit(world)
    person = await member(world, Role.RESEARCHER, "later")
    await give(world, person, later.session)
    browser, shown = await browser_of(world, person), 0
    for path in dict.fromkeys(path for method, path in found if method == "GET" and not path.endswith("/status")):
        answer = await browser.http.get(path)
        if answer.status_code == 200:
            shown += 1
            assert not re.search(r"first visit|\bAnna\b|anna@|\bBen\b|ben@", answer.text), path
    assert shown > 5
    assert "Second visit" in (await browser.open("/sessions")).words
    assert "Second visit" in (await browser.open(f"/studies/{world.lab.study}")).words


async def test_t0_13_answers_are_seen_by_those_assigned_and_are_in_the_copy(world: World):
    await world.waiting_transcript(world.anna)
    await answer_after_the_session(world, world.anna)
    await limit(world)
    assigned, other = await member(world, Role.RESEARCHER, "ada"), await member(world, Role.RESEARCHER, "eve")
    await give(world, assigned, world.lab.session)
    page = f"/sessions/{world.lab.session}/answers"
    browser, outside = await browser_of(world, assigned), await browser_of(world, other)
    assert ANSWERED in (await browser.open(page)).words
    assert ANSWERED in (await browser.http.get(f"{page}.csv?purpose=report")).text
    for path in (page, f"{page}.csv?purpose=report"):
        answer = await outside.http.get(path)
        assert answer.status_code == 404 and ANSWERED not in answer.text
    copy = unpacked(await (await world.guest(world.anna)).http.get(MINE))
    assert any(ANSWERED.encode() in content for content in copy.values())


async def test_t0_16_somebody_new_sees_earlier_sessions_of_the_same_people_when_it_was_said(world: World):
    """Anna came three times, Ben once before; somebody new is assigned to Anna's second visit."""
    first, second, third, bens = [
        await visit(world, title, day) for title, day in (("One", 2), ("Two", 3), ("Three", 4), ("Bens", 1))
    ]
    for lab in (first, second, third):
        await world.invite(lab, "Anna", "anna@people.example")
    await world.invite(bens, "Ben", "ben@people.example")
    await limit(world)
    former, new = await member(world, Role.RESEARCHER, "former"), await member(world, Role.RESEARCHER, "new")
    await give(world, former, first.session)
    owner = await world.member(world.lab)
    team = f"/sessions/{second.session}/team"

    async def seen(person: PersonId) -> set[str]:
        browser = await browser_of(world, person)
        named = {"One": first, "Two": second, "Three": third, "Bens": bens}
        opened = {name for name, lab in named.items() if await ask(browser, "GET", f"/sessions/{lab.session}") == 200}
        words = (await browser.open("/sessions")).words
        assert {name for name in named if name in words} == opened
        return opened

    assert (await world.post(owner, team, {"member": str(new)})).status_code == 303
    assert await seen(new) == {"Two"}  # being assigned gives nothing but this one …
    for _ in range(2):
        assert (await world.post(owner, f"{team}/{new}/earlier")).status_code == 303
    assert await seen(new) == {"One", "Two"}  # … until it is said; never what comes later, never others' sessions
    assert await seen(former) == {"One"}  # and whoever was there before keeps it
    said = [e.subject for e in await world.rows(world.lab, AuditEvent) if e.facts.get("member") == str(new)]
    assert sorted(said) == sorted(f"session:{one.session}" for one in (world.lab, first, second))


async def test_t0_17_being_assigned_once_gives_nothing_of_later_sessions(world: World):
    later = await visit(world, "Later", 20)
    anna = await world.invite(later, "Anna", "anna@people.example")
    await world.invite(later, "Carla", "carla@people.example")
    assert anna.person == world.anna.person
    await limit(world)
    past = await member(world, Role.RESEARCHER, "past")
    await give(world, past, world.lab.session)
    browser = await browser_of(world, past)
    assert await ask(browser, "GET", f"/sessions/{world.lab.session}") == 200
    for path in ("", "/review", "/status", "/answers", "/answers.csv?purpose=report", "/invitations/list"):
        assert await ask(browser, "GET", f"/sessions/{later.session}{path}") == 404, path
    for path in ("/sessions", f"/studies/{world.lab.study}", f"/sessions/{world.lab.session}", "/retention"):
        words = (await browser.open(path)).words
        assert "Later" not in words and "Carla" not in words, path


async def test_c1_13_ending_an_assignment_ends_what_is_followed_at_this_moment(world: World):
    """Without their doing anything: the room no longer counts them as inside, and the live status says it is over."""
    await world.registered(world.anna)
    await world.go_live(world.lab)
    await limit(world)
    person = await member(world, Role.RESEARCHER, "inside")
    await give(world, person, world.lab.session)
    browser, room = await browser_of(world, person), f"/rooms/{world.lab.session}"
    made = await world.post(browser, f"{room}/token", {"stream": "camera"})
    token = {"Authorization": f"Bearer {made.json()['token']}"}
    stranger = world.browser().http

    async def inside() -> list[UUID]:
        async with one_moment(world.wiring.database, world.lab.account) as db:
            facts = await read_room(db, world.wiring, account=world.lab.account, session=SessionId(world.lab.session))
        return list(permission(facts).inside)

    assert person in await inside() and world.lab.owner in await inside() and world.anna.person in await inside()
    assert (await stranger.options("/whip", headers=token)).status_code == 204
    await take(world, person, world.lab.session)
    assert person not in await inside() and world.lab.owner in await inside() and world.anna.person in await inside()
    assert (await stranger.options("/whip", headers=token)).status_code == 401
    assert await ask(browser, "GET", room) == 404 and await ask(browser, "GET", f"{room}/ice") == 404


async def test_c1_13_participants_are_told_who_sees_their_session(world: World):
    await world.registered(world.anna)
    for name in ("ada", "eve", "rita"):
        await member(world, Role.RESEARCHER, name)
    guest = await world.guest(world.anna)
    assert "1 owner and 3 researchers of Kitchen Lab" in (await guest.open("/my-data")).words
    notice = f"/take-part/{world.lab.session}/notice"
    assert "Only the people of this study's account can see it." in (await guest.open(notice)).words
    await limit(world)
    assert "1 owner of Kitchen Lab" in (await guest.open("/my-data")).words
    assigned = await member(world, Role.RESEARCHER, "assigned")
    await give(world, assigned, world.lab.session)
    assert "1 owner and 1 researcher of Kitchen Lab" in (await guest.open("/my-data")).words
    assert "those of its team who are assigned to your session" in (await guest.open(notice)).words


async def test_t0_17_what_ended_after_a_backup_is_ended_when_it_is_restored(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    later = await visit(world, "Second visit", 9)
    past, left, new = [await member(world, Role.RESEARCHER, name) for name in ("past", "left", "new")]
    await give(world, past, world.lab.session, later.session)
    await give(world, left, world.lab.session)
    file = await backed_up(world, owner_url, tmp_path)
    owner, form = await world.member(world.lab), {"name": "left", "email": "left@lab.example", "role": "researcher"}
    seen = {"title": "Kitchens", "contact_name": "Olga", "contact_email": "olga@lab.example", "language": "en"}
    seen |= {"consent_text": CONSENT_TEXT, "retention": "asked", "seen_by": "assigned", "kinds": "video"}
    for path, values in (
        (f"/studies/{world.lab.study}/edit", seen),
        (f"/sessions/{world.lab.session}/team/{past}/end", {}),
        (f"/sessions/{world.lab.session}/team", {"member": str(new)}),
        (f"/members/{left}/remove", {}),
        ("/members", form),
    ):
        assert (await world.post(owner, path, values)).status_code == 303, path
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed.others >= 4
        assert [row.assigned_only for row in await then.rows(then.lab, Study)] == [True]
        given = {(row.member_id, row.session_id) for row in await then.rows(then.lab, Assignment)}
        assert given == {(past, later.session), (new, world.lab.session)}
        assert await catch_up(then.wiring, then.node) == Replayed()
        browser = await browser_of(then, past)
        assert await ask(browser, "GET", f"/sessions/{world.lab.session}") == 404
        assert await ask(browser, "GET", f"/sessions/{later.session}") == 200
