"""A2-07: a date may count from somebody's last session, so a new one moves it; the owner chooses, others read it."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import unescape
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update

from app.audit import Action, AuditEvent
from app.invitations.models import Invitation
from app.privacy.keeping.dry_run import preview
from app.privacy.keeping.keeping import Change, keep
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import SessionDue
from app.sessions.models import Note, Recording, RecordingState, Session
from app.sessions.policy import due, readable
from app.sessions.service import recording_facts
from app.studies.clocks import IDLE, Ending, Level, anything_shorter
from app.studies.models import Study
from recordings.model import PersonId, SessionId
from tests.app.test_responses_going import run_all
from tests.fixtures.answering import answered
from tests.fixtures.answering import proven as proven_browser
from tests.fixtures.web import EVERYONE, Cast
from tests.promises.study_keeps import DAY, NOW, keeps

LONG_AGO = NOW - 40 * DAY


async def recorded(
    cast: Cast, session: SessionId, person: PersonId, ended: datetime | None, *, member: bool = False
) -> UUID:
    """A row of something stored; the session ended then."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == session).values(ended_at=ended))
        row = Recording(
            id=uuid4(),
            account_id=cast.account,
            session_id=session,
            person_id=person,
            person_is_member=member,
            stream="camera",
            state=RecordingState.STORED,
            created_at=ended or NOW,
        )
        db.add(row)
        return row.id


async def until(cast: Cast, recording: UUID) -> datetime | None:
    """When it goes by itself."""
    async with cast.wiring.database.transaction(cast.account) as db:
        row = await db.get_one(Recording, recording)
        session = await db.get_one(Session, row.session_id)
        study = await db.get_one(Study, session.study_id)
        return due(recording_facts(row, session), study.retention_days, NOW)


async def first_date(cast: Cast, session: UUID) -> datetime | None:
    async with cast.wiring.database.transaction(cast.account) as db:
        return (await db.get_one(SessionDue, session)).due


async def test_a2_07_a_date_counts_from_the_last_session_and_a_new_one_moves_it(cast: Cast):
    anna = cast.participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    await keeps(cast, None, idle=50)
    assert await until(cast, first) == LONG_AGO + 50 * DAY
    await recorded(cast, cast.other_session, anna, NOW - 2 * DAY)
    assert await until(cast, first) == NOW + 48 * DAY == await first_date(cast, cast.session)
    assert await sweep(cast.wiring, NOW + 48 * DAY - timedelta(seconds=1)) == 0
    assert await sweep(cast.wiring, NOW + 48 * DAY) == 1


async def test_a2_07_counted_from_the_end_of_the_session_a_new_one_moves_nothing(cast: Cast):
    anna = cast.participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    await keeps(cast, 50)
    await recorded(cast, cast.other_session, anna, NOW - 2 * DAY)
    assert await until(cast, first) == LONG_AGO + 50 * DAY == await first_date(cast, cast.session)


async def test_a2_07_nobody_elses_session_and_no_other_study_moves_a_date(cast: Cast):
    anna, ben = cast.participant.participant, cast.other_participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    await keeps(cast, None, idle=50)
    await recorded(cast, cast.other_session, ben, NOW)
    assert await until(cast, first) == LONG_AGO + 50 * DAY
    columns = "contact_name, contact_email, kinds, language, retention_version"
    async with cast.wiring.database.transaction(cast.account) as db:
        elsewhere = f"SELECT :new, account_id, title, {columns} FROM study WHERE id = :old"
        names = f"INSERT INTO study (id, account_id, title, {columns}) {elsewhere}"
        await db.execute(text(names), {"new": (other := uuid4()), "old": cast.study})
        await db.execute(update(Session).where(Session.id == cast.other_session).values(study_id=other))
    await recorded(cast, cast.other_session, anna, NOW)
    assert await until(cast, first) == LONG_AGO + 50 * DAY


async def test_a2_07_whoever_was_let_in_took_part_though_nothing_was_recorded(cast: Cast):
    anna = cast.participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    await keeps(cast, None, idle=50)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Session).where(Session.id == cast.other_session).values(ended_at=NOW))
        mine = select(Invitation).where(Invitation.participant_id == anna)
        old = (await db.scalars(mine)).one()
        db.add(
            Invitation(
                id=uuid4(),
                account_id=cast.account,
                session_id=cast.other_session,
                participant_id=anna,
                token_hash=b"x",
                unsubscribe_hash=b"y",
                expires_at=old.expires_at,
            )
        )
    assert await until(cast, first) == LONG_AGO + 50 * DAY, "an invitation is no session"
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Invitation).where(Invitation.token_hash == b"x").values(admitted_at=NOW - DAY))
    assert await until(cast, first) == NOW + 50 * DAY


async def test_a2_07_what_was_erased_stays_erased_when_somebody_comes_again(cast: Cast):
    anna = cast.participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    await keeps(cast, None, idle=30)
    assert await sweep(cast.wiring, NOW) == 1
    await recorded(cast, cast.other_session, anna, NOW)
    async with cast.wiring.database.transaction(cast.account) as db:
        row, session = await db.get_one(Recording, first), await db.get_one(Session, cast.session)
        assert row.hidden_at is not None and not readable(recording_facts(row, session), None, NOW)
    await run_all(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.get_one(Recording, first)).erased_at is not None


async def test_a2_07_of_several_rules_the_first_date_counts(cast: Cast):
    anna = cast.participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    await recorded(cast, cast.other_session, anna, NOW - 2 * DAY)
    await keeps(cast, 60, idle=50)
    assert await until(cast, first) == LONG_AGO + 60 * DAY
    async with cast.wiring.database.transaction(cast.account) as db:
        one = Change(days=None, session=cast.session, periods={IDLE: 10})
        await keep(db, one, account=cast.account, by="member:x")
    assert await until(cast, first) == NOW + 8 * DAY == await first_date(cast, cast.session)
    async with cast.wiring.database.transaction(cast.account) as db:
        mine = Change(days=None, participant=anna, periods={IDLE: 5})
        await keep(db, mine, account=cast.account, by="member:x")
    assert await until(cast, first) == NOW + 3 * DAY


async def test_a2_07_an_account_s_limit_reaches_its_studies(cast: Cast):
    first = await recorded(cast, cast.session, cast.participant.participant, LONG_AGO)
    await keeps(cast, None)
    async with cast.wiring.database.transaction(cast.account) as db:
        limit = Change(days=None, periods={IDLE: 45})
        await keep(db, limit, account=cast.account, by="member:x")
    assert await until(cast, first) == LONG_AGO + 45 * DAY
    await keeps(cast, None, idle=300)
    assert await until(cast, first) == LONG_AGO + 45 * DAY


async def test_a2_07_what_is_nobodys_own_goes_with_the_last_of_its_session(cast: Cast):
    anna = cast.participant.participant
    first = await recorded(cast, cast.session, anna, LONG_AGO)
    member = await recorded(cast, cast.session, cast.researcher, LONG_AGO, member=True)
    async with cast.wiring.database.transaction(cast.account) as db:
        note = Note(id=uuid4(), account_id=cast.account, session_id=cast.session, member_id=cast.owner, text=b"x")
        note.at = LONG_AGO
        db.add(note)
    await keeps(cast, None, idle=50)
    await recorded(cast, cast.other_session, anna, NOW - 2 * DAY)
    await recorded(cast, cast.other_session, cast.researcher, NOW - 2 * DAY, member=True)
    assert await until(cast, first) == await until(cast, member) == NOW + 48 * DAY
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(Note.idle_until)) == NOW + 48 * DAY
    await sweep(cast.wiring, NOW + 47 * DAY)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(func.count(Note.id))) == 1
    await sweep(cast.wiring, NOW + 48 * DAY)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert await db.scalar(select(func.count(Note.id))) == 0


@pytest.mark.parametrize(
    ("before", "after", "shorter"),
    [
        ((None, None), (None, 30), True),
        ((30, None), (None, 30), False),  # the last session is never before this one
        ((30, None), (None, 29), True),
        ((None, 30), (30, None), True),
        ((None, 30), (None, 31), False),
        ((90, 30), (90, None), False),
        ((30, 90), (30, 60), False),
        ((90, 60), (90, 30), True),
    ],
)
def test_a2_07_what_may_go_earlier_is_listed_first(
    before: tuple[int | None, int | None], after: tuple[int | None, int | None], shorter: bool
):
    levels = [Level(days=days, periods={} if idle is None else {IDLE: idle}) for days, idle in (before, after)]
    assert anything_shorter(*levels) is shorter


async def test_a2_07_the_dry_run_lists_what_would_go_counted_from_the_last_session(cast: Cast):
    anna, ben = cast.participant.participant, cast.other_participant.participant
    await recorded(cast, cast.session, anna, LONG_AGO)
    await recorded(cast, cast.other_session, ben, NOW - 2 * DAY)
    wanted = Change(days=None, study=cast.study, periods={IDLE: 30})
    async with cast.wiring.database.transaction(cast.account) as db:
        going = await preview(db, wanted, NOW)
    assert [one.session for one in going.at_once] == [cast.session] and going.sooner == 1
    await recorded(cast, cast.other_session, anna, NOW - 2 * DAY)
    async with cast.wiring.database.transaction(cast.account) as db:
        going = await preview(db, wanted, NOW)
    assert going.at_once == () and going.sooner == 3


async def test_a2_07_the_owner_alone_chooses_and_the_participant_reads_it(cast: Cast):
    await answered(cast)
    path, form = f"/studies/{cast.study}/retention", {"keep": "idle", "days": "2000", "ending": "anonymise"}
    for who in EVERYONE:
        if who != "owner":
            assert (await (await cast.browser(who)).post(path, data=form)).status_code in (401, 403, 404), who
    owner = await cast.browser("owner")
    assert (await owner.post(path, data=form | {"keep": "never"})).status_code == 422
    assert (await owner.post(path, data=form | {"ending": "sell"})).status_code == 422
    assert (await owner.post(path, data=form)).status_code == 303
    async with cast.wiring.database.transaction(cast.account) as db:
        study = await db.get_one(Study, cast.study)
        assert (study.retention_days, study.periods, study.ending) == (None, {IDLE: 2000}, Ending.ANONYMISE)
    async with cast.wiring.database.transaction(cast.account) as db:
        found = select(AuditEvent.facts).where(AuditEvent.action == Action.RETENTION_CHANGED)
        assert (await db.scalars(found)).one()["ending"] == "anonymise"
    read = unescape((await owner.get(path)).text)
    assert "2000 days after the participant's last session in the study" in read
    read = unescape((await owner.get(f"/studies/{cast.study}")).text)
    assert "2000 days after each participant's last session" in read
    told = (await (await cast.browser("participant")).get(f"/take-part/{cast.session}/notice")).text
    assert "2000 days after your last session in this study" in told and "is counted and stays" in told
    mine = (await (await proven_browser(cast)).get("/my-data")).text
    assert "How often each choice was taken is counted and stays" in mine
    await keeps(cast, 2000)
    mine = (await (await proven_browser(cast)).get("/my-data")).text
    assert "How often each choice" in mine, "a change of the time leaves what stays as it was"
    await keeps(cast, 2000, ending=Ending.ERASE)
    mine = (await (await proven_browser(cast)).get("/my-data")).text
    assert "How often each choice" not in mine and "nothing of it stays" in mine
