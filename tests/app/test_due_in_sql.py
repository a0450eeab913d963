"""The SQL that orders the retention overview says the same as the rule, for every recording and note."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import select, text

from app.database import Db, now_in
from app.privacy.beside import beside_recordings, days_kept
from app.privacy.due_in_sql import KEPT, due_at, items_by_session
from app.sessions.models import Note, Recording, RecordingState, Session
from app.sessions.policy import due, shortest
from app.sessions.response_models import Response
from app.sessions.service import recording_facts
from app.studies.models import Study
from tests.fixtures.web import Cast

SEED = 21
SESSIONS = 150


async def plant(db: Db, cast: Cast, now: datetime, rng: random.Random) -> None:
    """Sessions ended and going on, under every mix of clocks, holds, restrictions and states; notes beside them."""

    def about(days: int) -> datetime:
        return now + timedelta(seconds=rng.randrange(-86_400 * days, 86_400 * days))

    study = await db.get_one(Study, cast.study)
    columns = [c.name for c in Study.__table__.columns if c.name not in ("id", "retention_days")]
    names = ", ".join(columns)
    for days in (None, 1, 30, 365):
        made = f"INSERT INTO study (id, retention_days, {names}) SELECT :id, :days, {names} FROM study WHERE id = :old"
        await db.execute(text(made), {"id": uuid4(), "days": days, "old": study.id})
    studies = list(await db.scalars(select(Study.id).where(Study.id != study.id)))
    for _ in range(SESSIONS):
        session = Session(
            id=uuid4(),
            account_id=cast.account,
            study_id=rng.choice(studies),
            title="x",
            ended_at=rng.choice([None, about(400)]),
            retention_days=rng.choice([None, None, 7, 90, 1000]),
        )
        db.add(session)
        await db.flush()
        for stream in ("camera", "screen"):
            held = rng.choice([None, None, "complaint"])
            db.add(
                Recording(
                    account_id=cast.account,
                    session_id=session.id,
                    person_id=rng.choice([uuid4(), cast.participant.participant]),
                    stream=stream,
                    state=rng.choice(list(RecordingState)),
                    created_at=about(400),
                    held_reason=held,
                    held_until=rng.choice([None, now, about(400), about(2)]) if held else None,
                    restricted_at=rng.choice([None, None, None, about(9)]),
                    erased_at=rng.choice([None, None, None, about(9)]),
                )
            )
        if rng.random() < 0.4:
            db.add(
                Response(
                    account_id=cast.account,
                    session_id=session.id,
                    participant_id=cast.participant.participant,
                    answered_at=about(400),
                    restricted_at=rng.choice([None, None, about(9)]),
                    erased_at=rng.choice([None, None, about(9)]),
                )
            )
        if rng.random() < 0.4:
            db.add(Note(account_id=cast.account, session_id=session.id, member_id=cast.owner, at=about(400), text=b"x"))
    await db.flush()


async def test_the_sql_says_what_the_rule_says(cast: Cast) -> None:
    rng = random.Random(SEED)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        await plant(db, cast, now, rng)
        for moment in (now, now + timedelta(days=1), now - timedelta(days=200)):
            rows = (
                await db.execute(
                    select(Recording, Session, Study, due_at(moment))
                    .join(Session, Session.id == Recording.session_id)
                    .join(Study, Study.id == Session.study_id)
                )
            ).all()
            assert len(rows) == 2 * SESSIONS
            for recording, session, study, said in rows:
                assert said == due(recording_facts(recording, session), study.retention_days, moment)


async def test_a_session_stands_at_the_first_date_of_what_it_holds(cast: Cast) -> None:
    rng = random.Random(SEED + 1)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        await plant(db, cast, now, rng)
        expected: dict[object, list[datetime | None]] = {}
        for recording, session, study in await db.execute(
            select(Recording, Session, Study)
            .join(Session, Session.id == Recording.session_id)
            .join(Study, Study.id == Session.study_id)
            .where(Recording.state.not_in(KEPT))
        ):
            until = due(recording_facts(recording, session), study.retention_days, now)
            expected.setdefault(session.id, []).append(until)
        pairs = (await db.execute(select(Session, Study).join(Study, Study.id == Session.study_id))).all()
        beside = await beside_recordings(db, [(row[0], row[1]) for row in pairs], now, days_kept)
        notes = answers = 0
        for session_id, dates in beside.items():
            notes, answers = notes + len(dates.notes), answers + len(dates.answers)
            if dates.notes or dates.answers:
                expected.setdefault(session_id, []).extend([*dates.notes, *dates.answers])
        assert notes > 20 and answers > 20
        said = {row.session_id: row.due for row in await db.execute(items_by_session(now))}
    assert said == {
        session: min((one for one in dates if one is not None), default=None) for session, dates in expected.items()
    }


async def test_the_door_of_reminders_names_what_the_rule_says(cast: Cast) -> None:
    """A superset would do; it is exact, so that a digest never hangs on what is not meant."""
    rng = random.Random(SEED + 2)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        await plant(db, cast, now, rng)
        soon = now + timedelta(days=30)
        expected = {
            recording.id
            for recording, session, study in await db.execute(
                select(Recording, Session, Study)
                .join(Session, Session.id == Recording.session_id)
                .join(Study, Study.id == Session.study_id)
                .where(Recording.state.not_in(KEPT), Recording.erased_at.is_(None))
            )
            if (days := shortest(study.retention_days, session.retention_days)) is not None
            and recording.created_at + timedelta(days=days) <= soon
            and (until := due(recording_facts(recording, session), study.retention_days, now)) is not None
            and now < until <= soon
        }
        asked = {"now": now, "until": soon}
        found = await db.execute(text("SELECT * FROM recordings_due_soon(:now, :until, 1000)"), asked)
        told = {row.recording_id for row in found}
        erased = set(await db.scalars(select(Recording.id).where(Recording.erased_at.is_not(None))))
    assert expected and told - erased == expected
