"""A session that nobody ended ends by itself, at the last thing that happened in it, and its dates count from there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from app.audit import SYSTEM, Action, AuditEvent
from app.database import now_in
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Erasure
from app.room.left_open import LEFT_AFTER, end_left_open, left_at
from app.room.models import Presence
from app.sessions.models import Note, Recording, Session, SessionState, Take
from app.studies.models import Study
from recordings.model import RecordingId
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("happened", "starts_at", "ended"),
    [
        ([NOW - 25 * HOUR], None, NOW - 25 * HOUR),
        ([NOW - 99 * HOUR, None, NOW - 30 * HOUR], None, NOW - 30 * HOUR),
        ([NOW - LEFT_AFTER], None, NOW - LEFT_AFTER),
        ([NOW - LEFT_AFTER + timedelta(seconds=1)], None, None),
        ([NOW - 99 * HOUR, NOW], None, None),
        ([NOW - 99 * HOUR], NOW + HOUR, None),  # opened days before it begins
        ([NOW - 99 * HOUR], NOW - 23 * HOUR, None),
        ([NOW - 99 * HOUR], NOW - 24 * HOUR, NOW - 99 * HOUR),
        ([], None, None),
    ],
)
def test_a_session_is_left_a_day_after_the_last_thing_that_happened(
    happened: list[datetime | None], starts_at: datetime | None, ended: datetime | None
) -> None:
    assert left_at(happened, starts_at, NOW) == ended


@pytest.fixture
async def recording(cast: Cast, tmp_path: Path) -> RecordingId:
    """Of a session that has been open for ten days, and was used nine days ago for the last time."""
    stored = await stored_recording(cast, tmp_path, person=cast.participant.participant, seconds=1.0)
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        long_ago = now - timedelta(days=10)
        await db.execute(delete(Note))
        await db.execute(delete(Presence))
        values = {"state": SessionState.LIVE, "created_at": long_ago, "started_at": long_ago, "recording_at": long_ago}
        await db.execute(update(Session).values(starts_at=None))
        await db.execute(update(Session).where(Session.id == cast.session).values(ended_at=None, **values))
        used = now - timedelta(days=9)
        await db.execute(update(Take).values(started_at=long_ago, ended_at=used))
        await db.execute(update(Recording).values(created_at=long_ago))
    return stored


async def session_of(cast: Cast) -> tuple[Session, datetime]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return await db.get_one(Session, cast.session), await now_in(db)


async def test_an_open_session_that_nobody_is_in_ends_at_its_last_activity(cast: Cast, recording: RecordingId) -> None:
    _, now = await session_of(cast)
    assert await end_left_open(cast.wiring.database, now) == 1
    assert await end_left_open(cast.wiring.database, now) == 0
    row, _ = await session_of(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        take = (await db.scalars(select(Take))).first()
        told = (await db.scalars(select(AuditEvent).where(AuditEvent.action == Action.SESSION_ENDED))).all()
    assert row.state == SessionState.ENDED and take is not None and row.ended_at == take.ended_at
    assert [event.actor for event in told] == [SYSTEM]
    words = (await (await cast.browser("owner")).get("/retention")).text
    assert row.ended_at is not None
    until = row.ended_at + timedelta(days=180)
    assert f"{until:%Y-%m-%d}" in words, "the overview counts from there"
    await sweep(cast.wiring, until - timedelta(seconds=1))
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(Erasure))).all() == []
    await sweep(cast.wiring, until)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert recording in ((await db.scalars(select(Erasure))).one().recording_ids or ())


@pytest.mark.parametrize("sign", ["take", "page", "note", "begins later"])
async def test_a_session_in_which_something_still_happens_goes_on(
    cast: Cast, recording: RecordingId, sign: str
) -> None:
    _, now = await session_of(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        of_session = {"account_id": cast.account, "session_id": cast.session}
        if sign == "take":
            await db.execute(update(Take).values(ended_at=None))
        elif sign == "page":
            db.add(Presence(**of_session, person_id=cast.owner, role="owner", seen_at=now - timedelta(hours=23)))
        elif sign == "note":
            db.add(Note(**of_session, member_id=cast.owner, at=now - timedelta(hours=2), text=b"sealed"))
        else:
            values = {"starts_at": now + timedelta(days=2)}
            await db.execute(update(Session).where(Session.id == cast.session).values(**values))
    assert await end_left_open(cast.wiring.database, now) == 0
    assert (await session_of(cast))[0].state == SessionState.LIVE


async def test_a_clock_that_ran_ahead_ends_no_session(cast: Cast, recording: RecordingId) -> None:
    _, now = await session_of(cast)
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Take).values(ended_at=now - timedelta(hours=1)))
    assert await end_left_open(cast.wiring.database, now + timedelta(days=500)) == 0


async def test_what_is_recorded_in_a_session_longer_than_its_period_goes_by_its_own_beginning(
    cast: Cast, recording: RecordingId
) -> None:
    """Somebody sits in it all the time: nothing is kept longer than its period, counted from when it was recorded."""
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(retention_days=9))
        await db.execute(update(Take).values(ended_at=None))
    _, now = await session_of(cast)
    assert (await (await cast.browser("owner")).get(f"/recordings/{recording}/media")).status_code in (404, 410)
    await sweep(cast.wiring, now)
    async with cast.wiring.database.transaction(cast.account) as db:
        assert (await db.scalars(select(Erasure))).one().recording_ids == [recording]
