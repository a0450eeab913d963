"""J4-09: what support may see, for whom a grant opens it, and the log that shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from app.accounts.models import Role, Scope
from app.audit import Action, AuditEvent, record, verify
from app.sessions.models import Recording
from app.support.models import SupportRequest
from tests.promises.test_j4_access import addresses, an_operator, ask, granted, pages, recorded
from tests.promises.world import World


async def opened(world: World, grant: UUID, recording: UUID) -> list[str]:
    """Every address that a grant opens for reading."""
    paths = [path for method, path in pages(world.app) if method == "GET" and path.startswith("/support/grants/")]
    assert len(paths) == 3
    return [
        re.sub(r"{(\w+)(?::\w+)?}", lambda m: str({"support": grant, "recording": recording}[m[1]]), path)
        for path in paths
    ]


async def test_j4_09_an_operator_is_a_stranger_to_every_page_with_and_without_a_grant(world: World):
    found = [(m, path) for m, path in await addresses(world) if not path.startswith("/support/grants/")]
    [ref] = await world.rows(world.lab, Recording)
    stranger, operator = world.browser(), await an_operator(world)
    at_work = world.browser()
    at_work.http.cookies = operator.http.cookies
    for grant in (None, await granted(world, operator, ref.id)):
        wrong = {}
        for method, path in found:
            got, expected = await ask(at_work, method, path), await ask(stranger, method, path)
            theirs = path in ("/support/passkey", "/support/passkey/challenge", "/support/requests")
            if got != expected and not theirs:
                wrong[f"{method} {path}"] = (got, expected)
        assert wrong == {}, grant
    assert (await operator.get("/support")).status_code == 200  # still signed in: that was no accident


async def test_j4_09_a_grant_opens_its_pages_for_its_operator_and_nobody_else(world: World):
    ref = (await world.transcribed(world.anna)).recording_id
    operator = await an_operator(world)
    grant = await granted(world, operator, ref)
    paths = await opened(world, grant, ref)
    cast = {role: await world.member(world.lab, role) for role in Role}
    others = [
        *cast.values(),
        await world.member(world.other),
        await world.guest(world.anna),
        await world.guest(world.anna, Scope.ROOM),
        await world.guest(world.ben),
        world.browser(),
    ]
    for path in paths:
        assert {await ask(browser, "GET", path) for browser in others} == {404}, path
        assert (await operator.get(path)).status_code == 200, path
    for path in await opened(world, grant, uuid4()) + await opened(world, uuid4(), ref):
        if path != f"/support/grants/{grant}":
            assert (await operator.get(path)).status_code == 404, path
    await world.change(world.lab, SupportRequest, grant, ends_at=datetime.now(UTC) - timedelta(seconds=1))
    for path in paths:
        assert (await operator.get(path)).status_code == 404, path


async def test_j4_09_support_asks_the_owner_grants_one_object_for_an_hour(world: World):
    ref = await recorded(world)
    operator, owner = await an_operator(world), await world.member(world.lab)
    assert (await operator.ask(world.lab.account, "recording", ref.recording)).status_code == 303
    request = await operator.newest(world.lab.account)
    for minutes in (0, 61, 90, 24 * 60):
        answer = await world.post(owner, f"/support-access/{request}/grant", {"minutes": str(minutes)})
        assert answer.status_code == 422, minutes
    media = f"/support/grants/{request}/recordings/{ref.recording}/media"
    assert (await operator.get(media)).status_code == 404
    answer = await world.post(owner, f"/support-access/{request}/grant", {"minutes": "60"})
    assert answer.status_code == 303
    assert (await operator.get(media, Range="bytes=0-99")).status_code == 206
    [row] = await world.rows(world.lab, SupportRequest)
    assert row.ends_at - row.answered_at == timedelta(hours=1)
    events = await world.rows(world.lab, AuditEvent, AuditEvent.action.startswith("support:"), order=AuditEvent.number)
    assert [event.action for event in events] == ["support:grant:asked", "support:grant:given", "support:object:read"]
    assert events[-1].subject == f"recording:{ref.recording}" and events[-1].facts["grant"] == str(request)
    told = [mail.subject for mail in await world.mails(world.lab, person=world.lab.owner)]
    assert len([subject for subject in told if "the platform asks" in subject or "support access" in subject]) == 3
    await world.change(world.lab, SupportRequest, request, ends_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await operator.get(media, Range="bytes=100-199")).status_code == 404


async def test_j4_09_no_grant_deletes_changes_or_hides_a_line_of_the_log(world: World):
    ref = await recorded(world)
    operator = await an_operator(world)
    grant = await granted(world, operator, ref.recording)
    await operator.get(f"/support/grants/{grant}")
    before = len(await world.rows(world.lab, AuditEvent))
    for path in await opened(world, grant, ref.recording):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await operator.http.request(method, path, headers={"Origin": world.settings.origin})
            assert answer.status_code == 405, (method, path)
    assert len(await world.rows(world.lab, AuditEvent)) == before
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert (await verify(db, world.lab.account)).intact


async def test_j4_09_the_log_of_reads_can_neither_be_edited_nor_cut(world: World, superuser_url: str, owner_url: str):
    async with world.wiring.database.transaction(world.lab.account) as db:
        for number in range(5):
            actor, subject = f"member:{world.lab.owner}", f"recording:{UUID(int=number)}"
            await record(db, account=world.lab.account, actor=actor, action=Action.RECORDING_VIEWED, subject=subject)
    for statement in ("DELETE FROM audit_event", "UPDATE audit_event SET actor = 'system'", "TRUNCATE audit_event"):
        with psycopg.connect(owner_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
    with psycopg.connect(superuser_url) as connection:  # whoever owns the machine can, but it shows
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit_event SET subject = 'recording:other' WHERE number = 3")
    async with world.wiring.database.transaction(world.lab.account) as db:
        verdict = await verify(db, world.lab.account)
    assert not verdict.intact and verdict.broken_at == 3


async def test_j4_09_each_read_of_a_recording_is_in_the_log(world: World):
    ref = await recorded(world)
    owner = await world.member(world.lab)
    await owner.http.get(f"/recordings/{ref.recording}/media")
    seen = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.RECORDING_VIEWED)
    assert [event.subject for event in seen] == [f"recording:{ref.recording}"]
    assert [event.actor for event in seen] == [f"member:{world.lab.owner}"]


async def test_j4_09_what_cannot_be_logged_is_not_shown(world: World, superuser_url: str):
    ref = await recorded(world)
    owner = await world.member(world.lab)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("REVOKE INSERT ON audit_event FROM junier_app")
    answer = await owner.http.get(f"/recordings/{ref.recording}/media")
    assert answer.status_code == 500 and "webm" not in answer.headers["content-type"]
