"""A page asks the database as often for fifty lines as for one: what grows with an account is never the number of
questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event, select, text, update

from app.accounts.login import start_login
from app.accounts.models import Role, Scope
from app.accounts.service import add_member
from app.audit import Action, record
from app.database import now_in
from app.invitations.service import invite
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import ErasureReason
from app.sessions.models import HoldReason, Recording, Session, SessionState, Track, Transcript
from app.sessions.responses import save_answers
from app.sessions.service import schedule
from app.studies.models import ConsentKind, QuestionKind
from app.studies.questions import QuestionInput, add_question
from app.studies.service import create_study
from recordings.model import AccountId, PersonId, SessionId
from tests.fixtures.web import Cast

FEW, MANY = 1, 50


@dataclass
class Counted:
    statements: list[str]

    def __len__(self) -> int:
        return len(self.statements)


@contextmanager
def counting(cast: Cast) -> Iterator[Counted]:
    """What the application asks PostgreSQL while this is open."""
    counted = Counted([])

    def see(*args: object) -> None:
        counted.statements.append(str(args[2]))

    engine = cast.wiring.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", see)
    try:
        yield counted
    finally:
        event.remove(engine, "before_cursor_execute", see)


@pytest.fixture
async def group(cast: Cast) -> SessionId:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await schedule(db, account=cast.account, study=cast.study, title="Group", group=True)


async def add_people(cast: Cast, session: SessionId, count: int) -> None:
    """Invited, and each with a camera recording, two tracks and a transcript's row."""
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Session, session)
        row.state = SessionState.SCHEDULED
        await db.flush()
        for _ in range(count):
            email = f"{uuid4()}@home.example"
            made = await invite(
                db, cast.wiring, account=cast.account, session=session, name="Kim", email=email, by=cast.owner
            )
            await _recorded(db, cast.account, session, made.participant)
        row.state, row.started_at, row.ended_at = SessionState.ENDED, await now_in(db), await now_in(db)


async def _recorded(db, account: AccountId, session: UUID, person: UUID) -> None:
    recording, voice = uuid4(), uuid4()
    moment = await now_in(db)
    db.add(
        Recording(
            id=recording,
            account_id=account,
            session_id=session,
            person_id=person,
            stream="camera",
            state="stored",
            last_take=1,
            index_key=f"{recording}/index-00001",
            recorded_at=moment,
            duration_ms=60_000,
        )
    )
    await db.flush()
    for track, kind in ((uuid4(), "camera"), (voice, "voice")):
        db.add(Track(id=track, account_id=account, recording_id=recording, kind=kind, frames=10, bytes=10))
    db.add(
        Transcript(account_id=account, recording_id=recording, track_id=voice, state="waiting", language="en", words=3)
    )


async def add_sessions(cast: Cast, count: int) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(count):
            await schedule(db, account=cast.account, study=cast.study, title=f"S{number}", by=f"member:{cast.owner}")


async def add_studies(cast: Cast, count: int) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(count):
            await create_study(
                db,
                cast.wiring.columns,
                account=cast.account,
                title=f"Study {number}",
                contact_name="Olga",
                contact_email="study@lab.example",
                consent_text="We watch.",
                kinds=list(ConsentKind),
                by=f"member:{cast.owner}",
            )


async def add_members(cast: Cast, count: int) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(count):
            email = f"{uuid4()}@lab.example"
            await add_member(
                db, cast.wiring.columns, account=cast.account, name=f"M{number}", email=email, role=Role.OBSERVER
            )


async def add_events(cast: Cast, count: int) -> None:
    """Of different people about different things."""
    async with cast.wiring.database.transaction(cast.account) as db:
        for number in range(count):
            actor = f"member:{(cast.owner, cast.researcher)[number % 2]}"
            subject = f"session:{(cast.session, cast.other_session)[number % 2]}"
            await record(db, account=cast.account, actor=actor, action=Action.SESSION_REVIEWED, subject=subject)


async def asked(cast: Cast, browser: httpx.AsyncClient, path: str) -> list[str]:
    with counting(cast) as counted:
        answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    return counted.statements


async def same_for_one_and_fifty(cast: Cast, path: str, add, who: str = "owner") -> None:  # type: ignore[no-untyped-def]
    browser = await cast.browser(who)
    await add(FEW)
    await asked(cast, browser, path)  # the first reading of a review is written down
    few = await asked(cast, browser, path)
    await add(MANY - FEW)
    many = await asked(cast, browser, path)
    assert len(many) == len(few), "\n".join(sorted(set(many), key=many.count, reverse=True)[:3])


@pytest.mark.parametrize("page", ["", "/review"])
async def test_a_session_with_its_people_and_recordings(cast: Cast, group: SessionId, page: str) -> None:
    await same_for_one_and_fifty(cast, f"/sessions/{group}{page}", lambda count: add_people(cast, group, count))


@pytest.mark.parametrize("path", ["/retention", "/requests"])
async def test_the_overviews(cast: Cast, group: SessionId, path: str) -> None:
    await same_for_one_and_fifty(cast, path, lambda count: add_people(cast, group, count))


async def test_the_holds(cast: Cast, group: SessionId) -> None:
    async def add(count: int) -> None:
        await add_people(cast, group, count)
        async with cast.wiring.database.transaction(cast.account) as db:
            until = await now_in(db) + timedelta(days=30)
            await db.execute(update(Recording).values(held_reason=HoldReason.CLAIM, held_until=until))

    await same_for_one_and_fifty(cast, "/holds", add)


async def test_the_erasures(cast: Cast, group: SessionId) -> None:
    async def add(count: int) -> None:
        await add_people(cast, group, count)
        async with cast.wiring.database.transaction(cast.account) as db:
            for row in (await db.scalars(select(Recording).where(Recording.hidden_at.is_(None)))).all():
                await ask_erasure(
                    db,
                    account=cast.account,
                    person=PersonId(row.person_id),
                    reason=ErasureReason.OWNER,
                    asked_by=f"member:{cast.owner}",
                    instruction="test",
                    recordings=[row.id],
                )

    await same_for_one_and_fifty(cast, "/erasures", add)


async def test_a_study_with_its_sessions(cast: Cast) -> None:
    await same_for_one_and_fifty(cast, f"/studies/{cast.study}", lambda count: add_sessions(cast, count))


async def test_the_start_page(cast: Cast) -> None:
    await same_for_one_and_fifty(cast, "/", lambda count: add_studies(cast, count))


async def test_the_members(cast: Cast) -> None:
    await same_for_one_and_fifty(cast, "/members", lambda count: add_members(cast, count))


async def test_the_audit_log(cast: Cast) -> None:
    await same_for_one_and_fifty(cast, "/audit?kind=library", lambda count: add_events(cast, count))


async def test_the_sessions_of_the_account(cast: Cast) -> None:
    await same_for_one_and_fifty(cast, "/sessions", lambda count: add_sessions(cast, count))


async def test_what_is_held_about_a_participant_in_many_studies_that_ask_something(cast: Cast) -> None:
    person = cast.participant.participant

    async def add(count: int) -> None:
        async with cast.wiring.database.transaction(cast.account) as db:
            for number in range(count):
                study = await create_study(
                    db,
                    cast.wiring.columns,
                    account=cast.account,
                    title=f"Study {number}",
                    contact_name="Olga",
                    contact_email="study@lab.example",
                    consent_text="We watch.",
                    kinds=list(ConsentKind),
                )
                asked = QuestionInput(kind=QuestionKind.TEXT, prompt="What was hard?", required=False)
                question = await add_question(db, study=study, asked=asked, by="system")
                session = await schedule(db, account=cast.account, study=study, title=f"S{number}")
                await invite(
                    db,
                    cast.wiring,
                    account=cast.account,
                    session=session,
                    name="Anna",
                    email="anna@home.example",
                    by=cast.owner,
                )
                await _recorded(db, cast.account, session, person)
                if number % 2 == 0:
                    row, values = await db.get_one(Session, session), {question.id: "Nothing."}
                    await save_answers(db, cast.wiring.columns, session=row, participant=person, values=values)

    async with cast.wiring.database.transaction(cast.account) as db:
        cookie = await start_login(
            db,
            cast.wiring.settings,
            account=cast.account,
            scope=Scope.DATA,
            participant=person,
            session=cast.session,
        )
    browser = await cast.web.browser(cookie.value)
    await add(1)
    few = await asked(cast, browser, "/my-data")
    await add(5)
    many = await asked(cast, browser, "/my-data")
    assert len(many) == len(few), "\n".join(sorted(set(many), key=many.count, reverse=True)[:3])
    assert (await browser.get("/my-data")).text.count("Nothing.") == 4


async def test_no_plan_made_for_one_account_serves_another(cast: Cast) -> None:
    """The account is a value like any other to the planner: what suits a small one reads a large one end to end."""
    async with cast.wiring.database.transaction(cast.account) as db:
        for _ in range(12):  # psycopg prepares after five, PostgreSQL may keep a plan after five more
            await db.execute(select(Session.id).where(Session.study_id == cast.study))
        kept = text("SELECT sum(generic_plans), max(custom_plans) FROM pg_prepared_statements")
        generic, custom = (await db.execute(kept)).one()
    assert generic == 0 and custom > 5
