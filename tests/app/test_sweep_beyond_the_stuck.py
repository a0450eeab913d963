"""However many erasures are stuck, the sweep gets to what stands behind them, a bounded number each minute."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text, update

from app.database import Db, now_in
from app.privacy.erasing.overdue import overdue
from app.privacy.erasing.policy import due_again
from app.privacy.keeping import retention
from app.privacy.keeping.retention import AT_ONCE, sweep
from app.privacy.records.models import Erasure, ErasureReason, ErasureState
from app.sessions.models import Recording, RecordingState, Session, SessionState
from app.sessions.response_models import Response
from tests.fixtures.web import Cast

STUCK = AT_ONCE + 10
DAYS = timedelta(days=181)


def erasure(cast: Cast, person: UUID, **values: object) -> dict[str, object]:
    return {
        "id": uuid4(),
        "account_id": cast.account,
        "reason": ErasureReason.RETENTION,
        "person_id": person,
        "asked_by": "system",
        "instruction": "retention policy version 1",
        "receipt": "E-1",
        "state": ErasureState.PARTIAL,
        "recording_ids": None,
        "tries": 1,
        **values,
    }


async def ended_sessions(db: Db, cast: Cast, ids: list[UUID], at: datetime) -> None:
    study = await db.scalar(select(Session.study_id).where(Session.id == cast.session))
    ended = {"account_id": cast.account, "study_id": study, "title": "", "state": SessionState.ENDED, "ended_at": at}
    await db.execute(insert(Session), [ended | {"id": one} for one in ids])


async def due_recordings_of(cast: Cast, people: list[UUID], at: datetime) -> list[UUID]:
    """One of each, each of a session of its own and with its id, in the order of their dates, all past them."""
    ids = [uuid4() for _ in people]
    async with cast.wiring.database.transaction(cast.account) as db:
        await ended_sessions(db, cast, ids, at - DAYS)
        rows = [
            {
                "id": one,
                "account_id": cast.account,
                "session_id": one,
                "person_id": person,
                "stream": "camera",
                "state": RecordingState.STORED,
                "created_at": at - DAYS - timedelta(hours=1) + timedelta(seconds=number),
            }
            for number, (one, person) in enumerate(zip(ids, people, strict=True))
        ]
        await db.execute(insert(Recording), rows)
    return ids


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """As many as a sweep takes at once, here: the same rule with less waiting."""
    monkeypatch.setattr(retention, "AT_ONCE", 20)
    return 20


async def now_of(cast: Cast) -> datetime:
    async with cast.wiring.database.transaction() as db:
        return await now_in(db)


async def enqueued(cast: Cast) -> set[str]:
    async with cast.wiring.database.transaction() as db:
        jobs = "SELECT args ->> 'erasure_id' FROM jobs.procrastinate_jobs WHERE task_name = 'erase'"
        return set(await db.scalars(text(jobs)))


async def test_what_is_due_behind_more_stuck_erasures_than_one_sweep_takes_is_asked(cast: Cast) -> None:
    now = await now_of(cast)
    people = [uuid4() for _ in range(STUCK + 1)]
    ids = await due_recordings_of(cast, people, now)
    async with cast.wiring.database.transaction(cast.account) as db:
        stuck = zip(people[:-1], ids[:-1], strict=True)
        rows = [erasure(cast, person, tried_at=now, recording_ids=[one]) for person, one in stuck]
        await db.execute(insert(Erasure), rows)
    assert await sweep(cast.wiring, now) == 1
    async with cast.wiring.database.transaction(cast.account) as db:
        asked = (await db.scalars(select(Erasure).where(Erasure.state == ErasureState.ASKED))).one()
    assert asked.recording_ids == ids[-1:] and asked.person_id == people[-1]
    late = await overdue(cast.wiring.database, now + timedelta(days=2))
    assert late is not None and late >= timedelta(days=2), "the alarm still counts what was asked for and is stuck"


async def test_answers_behind_stuck_ones_are_asked_too(cast: Cast, few: int) -> None:
    now, person = await now_of(cast), cast.participant.participant
    ids = [uuid4() for _ in range(few + 11)]
    async with cast.wiring.database.transaction(cast.account) as db:
        await ended_sessions(db, cast, ids, now - DAYS)
        columns = {"account_id": cast.account, "participant_id": person}
        when = [now - DAYS + timedelta(seconds=number) for number in range(len(ids))]
        rows = [columns | {"id": one, "session_id": one, "answered_at": at} for one, at in zip(ids, when, strict=True)]
        await db.execute(insert(Response), rows)
        rows = [erasure(cast, person, tried_at=now, recording_ids=[], response_ids=[one]) for one in ids[:-1]]
        await db.execute(insert(Erasure), rows)
    assert await sweep(cast.wiring, now) == 1
    async with cast.wiring.database.transaction(cast.account) as db:
        asked = (await db.scalars(select(Erasure).where(Erasure.state == ErasureState.ASKED))).one()
    assert asked.response_ids == ids[-1:]


async def test_every_unfinished_erasure_gets_its_turn_and_a_sweep_takes_a_bounded_number(cast: Cast, few: int) -> None:
    """All are due again, none succeeds: each sweep takes those that wait longest."""
    now = await now_of(cast)
    rows = [erasure(cast, uuid4(), asked_at=now + timedelta(seconds=n), tried_at=now) for n in range(few + 10)]
    forgotten = erasure(cast, uuid4(), asked_at=now + timedelta(hours=1), tried_at=None, tries=0, state="asked")
    held = erasure(cast, uuid4(), asked_at=now + timedelta(hours=2), tried_at=now, state="held")
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(insert(Erasure), [*rows, held])
        await db.execute(insert(Erasure), [forgotten])
    later = now + timedelta(hours=7)
    assert await sweep(cast.wiring, later) == few
    assert str(forgotten["id"]) in await enqueued(cast), "one that was never tried goes first"
    async with cast.wiring.database.transaction(cast.account) as db:  # they were tried, in vain
        done = [UUID(one) for one in await enqueued(cast)]
        await db.execute(update(Erasure).where(Erasure.id.in_(done)).values(tried_at=later, tries=2, state="partial"))
    assert await sweep(cast.wiring, later) == 12
    assert {str(one["id"]) for one in [*rows, forgotten, held]} == await enqueued(cast)


async def test_the_database_knows_the_rule_of_the_next_try(cast: Cast) -> None:
    now = await now_of(cast)
    rows = [erasure(cast, uuid4(), tries=tries, tried_at=now) for tries in (0, 1, 2, 3, 7, 9, 10, 40)]
    rows += [erasure(cast, uuid4(), state=state, tried_at=now) for state in ErasureState]
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(insert(Erasure), rows)
    counts = set()
    for after in (0, 59, 60, 61, 120, 3600, 6 * 3600 - 1, 6 * 3600):
        at = now + timedelta(seconds=after)
        async with cast.wiring.database.transaction() as db:
            door = await db.execute(text("SELECT * FROM unfinished_erasures(:now, 100)"), {"now": at})
            found = {one for _, one in door}
        ruled = {r["id"] for r in rows if due_again(ErasureState(str(r["state"])), int(str(r["tries"])), now, at)}
        assert found == ruled
        counts.add(len(ruled))
    assert len(counts) >= 5
