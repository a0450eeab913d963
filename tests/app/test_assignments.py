"""Members assigned to single sessions: the rule, the database that says the same, and assigning itself."""

from __future__ import annotations

from itertools import product
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import delete, func, select, text

from app.accounts.assignments import assign, seen_by, unassign
from app.accounts.members import remove_member
from app.accounts.models import Assignment, Member, Role
from app.accounts.policy import sees_session
from app.accounts.service import add_member
from app.audit import Action, AuditEvent
from app.database import Database, set_reader
from app.errors import NotThere
from app.invitations.models import Invitation
from app.invitations.service import invite
from app.models import metadata
from app.privacy.records.models import SessionDue
from app.sessions.models import Session
from app.sessions.service import schedule
from app.studies.models import Study
from recordings.model import PersonId
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import EVERYONE, Cast

UNFOLLOWED = {"login", "assignment"}
"""Tables that name a session and show nothing of it: whose browser it is, and who is assigned."""


@pytest.mark.parametrize(("role", "assigned_only", "assigned"), product(Role, (False, True), (False, True)))
def test_owners_see_everything_and_others_what_they_are_assigned_to(
    role: Role, assigned_only: bool, assigned: bool
) -> None:
    expected = role is Role.OWNER or not assigned_only or assigned
    assert sees_session(role, assigned_only=assigned_only, assigned=assigned) is expected


async def limit(cast: Cast, assigned_only: bool = True) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(Study, cast.study)).assigned_only = assigned_only


async def give(cast: Cast, member: UUID, session: UUID | None = None) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await assign(db, account=cast.account, session=session or cast.session, member=member, by="system")


async def test_the_database_says_what_the_rule_says(cast: Cast) -> None:
    await give(cast, cast.researcher)
    for assigned_only in (False, True):
        await limit(cast, assigned_only)
        async with cast.wiring.database.transaction(cast.account) as db:
            for session in (cast.session, cast.other_session):
                expected = {
                    member
                    for member, role in ((cast.owner, Role.OWNER), (cast.researcher, Role.RESEARCHER))
                    + ((cast.observer, Role.OBSERVER),)
                    if sees_session(
                        role,
                        assigned_only=assigned_only,
                        assigned=(member, session) == (cast.researcher, cast.session),
                    )
                }
                told = await db.scalars(select(Member.id).where(seen_by(session, cast.study)))
                assert set(told) == expected


async def test_every_table_that_follows_a_session_is_closed_with_it(cast: Cast, superuser_url: str) -> None:
    """Asked from the catalogue, so that a table to come is not forgotten."""
    below = {"session_id", "recording_id", "transcript_id", "response_id"}
    with psycopg.connect(superuser_url) as connection:
        closed = {row[0] for row in connection.execute(
            "SELECT tablename FROM pg_policies WHERE policyname = 'assigned' AND permissive = 'RESTRICTIVE' "
            "AND roles = '{junier_app}' AND cmd = 'ALL'"
        )}  # fmt: skip
    following = {table.name for table in metadata.sorted_tables if below & set(table.columns.keys())}
    assert closed == following - UNFOLLOWED | {"session"}


async def test_no_row_of_another_session_exists_for_whoever_is_not_assigned(cast: Cast, tmp_path) -> None:
    await stored_recording(cast, tmp_path, person=cast.participant.participant, transcript=True)
    await give(cast, cast.researcher, cast.other_session)
    await limit(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        there = [table for table in metadata.sorted_tables if "session_id" in table.columns or table.name == "session"]
        filled = {table.name for table in there if await db.scalar(select(func.count()).select_from(table))}
        await set_reader(db, cast.researcher)
        for table in metadata.sorted_tables:
            named = table.c.id if table.name == "session" else table.c.get("session_id")
            if named is not None and table.name not in UNFOLLOWED:
                seen = set(await db.scalars(select(named)))
                assert seen <= {cast.other_session}, table.name
                if table.name in filled & {"session", "invitation"}:
                    assert seen == {cast.other_session}, table.name
            elif {"recording_id", "transcript_id", "response_id"} & set(table.columns.keys()):
                assert (await db.execute(select(text("1")).select_from(table))).all() == [], table.name
        assert (await db.execute(delete(Invitation).where(Invitation.session_id == cast.session))).rowcount == 0
        await set_reader(db, None)
        assert await db.scalar(select(func.count()).select_from(Session)) == 2


async def test_the_reader_is_forgotten_with_the_transaction(cast: Cast) -> None:
    await limit(cast)
    async with cast.wiring.database.engine.connect() as connection:
        await connection.execute(text("SELECT set_config('junier.account_id', :a, true)"), {"a": str(cast.account)})
        await connection.execute(text("SELECT set_config('junier.reader', :r, true)"), {"r": str(cast.researcher)})
        assert (await connection.execute(text("SELECT count(*) FROM session"))).scalar() == 0
        await connection.rollback()
        await connection.execute(text("SELECT set_config('junier.account_id', :a, true)"), {"a": str(cast.account)})
        assert (await connection.execute(text("SELECT count(*) FROM session"))).scalar() == 2


async def test_when_something_is_due_does_not_hang_on_who_changes_the_study(cast: Cast, tmp_path) -> None:
    """A researcher who sees no session changes how long all of them are kept."""
    await stored_recording(cast, tmp_path, person=cast.participant.participant)
    await limit(cast)
    database: Database = cast.wiring.database
    async with database.transaction(cast.account) as db:
        before = await db.scalar(select(SessionDue.due).where(SessionDue.session_id == cast.session))
    async with database.transaction(cast.account) as db:
        await set_reader(db, cast.researcher)
        (await db.get_one(Study, cast.study)).retention_days = 3
    async with database.transaction(cast.account) as db:
        after = await db.scalar(select(SessionDue.due).where(SessionDue.session_id == cast.session))
    assert before is not None and after is not None and after < before


async def team(browser: httpx.AsyncClient, cast: Cast, path: str = "", member: UUID | None = None) -> int:
    data = {"member": str(member)} if member else None
    return (await browser.post(f"/sessions/{cast.session}/team{path}", data=data)).status_code


async def test_who_may_assign_and_end_it(cast: Cast) -> None:
    await limit(cast)
    expected = {"owner": 303, "researcher": 404, "observer": 403, "other_owner": 404}
    for who in EVERYONE:
        browser = await cast.browser(who)
        status = expected.get(who, 401)
        assert await team(browser, cast, member=cast.observer) in (status, 303 if status == 401 else status), who
        for path in (f"/{cast.observer}/earlier", f"/{cast.observer}/end"):
            answer = await browser.post(f"/sessions/{cast.session}/team{path}")
            signed_out = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
            assert (401 if signed_out else answer.status_code) == status, (who, path)
    await give(cast, cast.researcher)
    researcher = await cast.browser("researcher")
    assert await team(researcher, cast, member=cast.observer) == 303
    assert (await researcher.get(f"/sessions/{cast.session}")).status_code == 200
    assert (await (await cast.browser("observer")).get(f"/sessions/{cast.session}")).status_code == 200


async def test_what_was_sent_wrongly_is_said(cast: Cast) -> None:
    owner = await cast.browser("owner")
    async with cast.wiring.database.transaction(cast.account) as db:
        removed = await add_member(
            db, cast.wiring.columns, account=cast.account, name="Rosa", email="r@lab.example", role=Role.RESEARCHER
        )
        await remove_member(db, member=removed)
    assert (await owner.post(f"/sessions/{cast.session}/team", data={"member": "Rita"})).status_code == 422
    assert await team(owner, cast) == 422
    for stranger in (uuid4(), removed, cast.other_owner):
        assert await team(owner, cast, member=stranger) == 404
        assert await team(owner, cast, f"/{stranger}/earlier") == 404
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(Assignment))).all() == []


async def test_each_assignment_and_its_end_is_in_the_log_once(cast: Cast) -> None:
    await limit(cast)
    owner = await cast.browser("owner")
    for _ in range(2):
        assert await team(owner, cast, member=cast.researcher) == 303
    for _ in range(2):
        assert await team(owner, cast, f"/{cast.researcher}/end") == 303
    async with cast.wiring.database.transaction(cast.account) as db:
        wanted = (Action.MEMBER_ASSIGNED, Action.MEMBER_UNASSIGNED)
        events = await db.scalars(select(AuditEvent).where(AuditEvent.action.in_(wanted)).order_by(AuditEvent.number))
        told = [(event.action, event.actor, event.subject, event.facts) for event in events]
    by, subject, facts = f"member:{cast.owner}", f"session:{cast.session}", {"member": str(cast.researcher)}
    assert told == [(action, by, subject, facts) for action in wanted]


async def test_whoever_schedules_a_session_is_assigned_to_it(cast: Cast) -> None:
    await limit(cast)
    researcher, observer = await cast.browser("researcher"), await cast.browser("observer")
    form = {"title": "Pilot 3", "time_zone": "Europe/Berlin", "with": "one"}
    answer = await researcher.post(f"/studies/{cast.study}/sessions", data=form)
    assert answer.status_code == 303, answer.text
    assert (await researcher.get(answer.headers["location"])).status_code == 200
    assert (await observer.get(answer.headers["location"])).status_code == 404
    listed = (await researcher.get("/sessions")).text
    assert "Pilot 3" in listed and "Pilot 1" not in listed and "Pilot 2" not in listed


async def test_ending_ones_own_assignment_leads_to_the_study(cast: Cast) -> None:
    await limit(cast)
    await give(cast, cast.researcher)
    researcher = await cast.browser("researcher")
    answer = await researcher.post(f"/sessions/{cast.session}/team/{cast.researcher}/end")
    assert answer.headers["location"] == f"/studies/{cast.study}"
    assert (await researcher.get(f"/sessions/{cast.session}")).status_code == 404


async def test_nobody_gives_away_more_than_they_see(cast: Cast) -> None:
    """A researcher of the second session invites somebody of the first, and shares earlier sessions with others."""
    await limit(cast)
    await give(cast, cast.researcher, cast.other_session)
    async with cast.wiring.database.transaction(cast.account) as db:
        (await db.get_one(Session, cast.other_session)).group = True
        await invite(
            db, cast.wiring, account=cast.account, session=cast.other_session, name="Anna",
            email="anna@home.example", by=cast.researcher,
        )  # fmt: skip
    researcher = await cast.browser("researcher")
    answer = await researcher.post(f"/sessions/{cast.other_session}/team/{cast.observer}/earlier")
    assert answer.status_code == 303
    async with cast.wiring.database.transaction(cast.account) as db:
        shared = select(Assignment.session_id).where(Assignment.member_id == cast.observer)
        assert set(await db.scalars(shared)) == {cast.other_session}


async def test_only_an_owner_says_who_sees_a_study(cast: Cast) -> None:
    form = {
        "title": "Checkout", "contact_name": "Olga Lab", "contact_email": "study@lab.example", "language": "en",
        "consent_text": "We would like to watch you buy a lamp.", "kinds": ["video"], "retention": "asked",
    }  # fmt: skip
    path, study = f"/studies/{cast.study}/edit", select(Study.assigned_only).where(Study.id == cast.study)
    for who, sent, expected in (
        ("owner", "assigned", True),
        ("researcher", "team", True),
        ("owner", None, True),  # a form from before says nothing of it
        ("owner", "team", False),
        ("researcher", "assigned", False),
    ):
        answer = await (await cast.browser(who)).post(path, data=form | ({"seen_by": sent} if sent else {}))
        assert answer.status_code == 303, answer.text
        async with cast.wiring.database.transaction(cast.account) as db:
            assert await db.scalar(study) is expected, (who, sent)
    assert (await (await cast.browser("owner")).post(path, data=form | {"seen_by": "nobody"})).status_code == 422
    async with cast.wiring.database.transaction(cast.account) as db:
        events = await db.scalars(select(AuditEvent.action).where(AuditEvent.action.like("studies:study:seen%")))
        assert list(events) == [Action.STUDY_ASSIGNED_ONLY, Action.STUDY_SEEN_BY_ALL]


async def test_whoever_leaves_and_comes_back_is_assigned_anew(cast: Cast) -> None:
    await limit(cast)
    await give(cast, cast.researcher)
    async with cast.wiring.database.transaction(cast.account) as db:
        await remove_member(db, member=cast.researcher)
        back = await add_member(
            db, cast.wiring.columns, account=cast.account, name="Rita", email="rita@lab.example", role=Role.RESEARCHER
        )
    assert back == cast.researcher
    assert (await (await cast.browser("researcher")).get(f"/sessions/{cast.session}")).status_code == 404


async def test_assignments_go_with_their_session(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        session = await schedule(
            db, account=cast.account, study=cast.study, title="Pilot 3", by=f"member:{cast.researcher}"
        )
        mine = select(Assignment.session_id).where(Assignment.member_id == cast.researcher)
        assert list(await db.scalars(mine)) == [session]
        await db.execute(delete(Session).where(Session.id == session))
        assert list(await db.scalars(mine)) == []


async def test_a_member_who_becomes_owner_sees_all_and_no_longer_afterwards(cast: Cast) -> None:
    await limit(cast)
    researcher, page = await cast.browser("researcher"), f"/sessions/{cast.session}"
    for role, status in ((Role.RESEARCHER, 404), (Role.OWNER, 200), (Role.RESEARCHER, 404)):
        async with cast.wiring.database.transaction(cast.account) as db:
            (await db.get_one(Member, cast.researcher)).role = role
        assert (await researcher.get(page)).status_code == status


async def test_ending_it_twice_or_for_nobody_changes_nothing(cast: Cast) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await unassign(db, account=cast.account, session=cast.session, member=uuid4(), by="system")
        with pytest.raises(NotThere):
            await assign(db, account=cast.account, session=cast.session, member=PersonId(uuid4()), by="system")
