"""Retention: not a second early, unreadable the second it is due, destroyed by the sweep, held while held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text, update

from app.accounts.models import Member
from app.backup import key_name
from app.database import now_in
from app.privacy.erasing.orphans import Kind
from app.privacy.erasing.policy import LONGEST_PAUSE, due_again
from app.privacy.erasing.service import run_erasure
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Erasure, ErasureReason, ErasureState, Orphan
from app.sealed_columns import PLATFORM
from app.sessions.models import Note, Recording, Session, SessionState
from app.studies.models import Study
from recordings.encryption.keystore import KeyMissing, KeyPath
from recordings.model import RecordingId, StreamKind
from tests.fixtures.erasing import SpyNodes, ask
from tests.fixtures.stored import stored_recording
from tests.fixtures.web import Cast
from workers.__main__ import build

DAYS = timedelta(days=180)


@pytest.fixture
async def recordings(cast: Cast, tmp_path: Path) -> list[RecordingId]:
    """Two of one person, of a session that has just ended."""
    person = cast.participant.participant
    made = [
        await stored_recording(cast, tmp_path / "a", person=person, seconds=1.0),
        await stored_recording(cast, tmp_path / "b", person=person, seconds=1.0, stream=StreamKind.SCREEN),
    ]
    await end_session(cast, ago=timedelta(0))
    return made


async def end_session(cast: Cast, *, ago: timedelta) -> datetime:
    """The session ended so long ago, and what was recorded in it is as old."""
    async with cast.wiring.database.transaction(cast.account) as db:
        now = await now_in(db)
        ended = {"state": SessionState.ENDED, "ended_at": now - ago}
        await db.execute(update(Session).where(Session.id == cast.session).values(**ended))
        await db.execute(update(Recording).values(created_at=now - ago - timedelta(hours=1)))
    return now


async def erasures(cast: Cast) -> list[Erasure]:
    async with cast.wiring.database.transaction(cast.account) as db:
        return list(await db.scalars(select(Erasure).order_by(Erasure.asked_at)))


@pytest.mark.parametrize("task", ["sweep", "rotate", "find_orphans"])
async def test_a_machine_whose_clock_ran_ahead_erases_nothing_and_ends_no_key(
    cast: Cast, recordings: list[RecordingId], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's clock is not the database's, which says what is still readable."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=500)

    backup = KeyPath(PLATFORM, item=key_name(datetime.now(UTC).date()))
    cast.wiring.keys.create(backup)
    alone = f"{cast.account}/{uuid4()}/{uuid4()}/{uuid4()}/index-"
    cast.wiring.store.put(f"{alone}00001", b"sealed")
    async with cast.wiring.database.transaction() as db:
        db.add(Orphan(place=alone, kind=Kind.OBJECTS, seen_at=datetime.now(UTC)))
    monkeypatch.setattr("workers.__main__.datetime", Ahead)
    await build(cast.wiring).tasks[task].func(0)
    assert await erasures(cast) == []
    assert cast.wiring.keys.exists(backup)
    assert list(cast.wiring.store.list(alone))


async def test_nothing_goes_a_second_early_and_everything_when_due(cast: Cast, recordings: list[RecordingId]) -> None:
    now = await end_session(cast, ago=timedelta(0))
    assert await sweep(cast.wiring, now + DAYS - timedelta(seconds=1)) == 0
    assert await erasures(cast) == []
    assert await sweep(cast.wiring, now + DAYS) == 1
    (erasure,) = await erasures(cast)
    assert erasure.reason == ErasureReason.RETENTION and erasure.asked_by == "system"
    assert set(erasure.recording_ids or ()) == set(recordings), "one erasure for both, of one person"
    assert "version 1" in erasure.instruction
    outcome = await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())
    assert outcome.state is ErasureState.COMPLETE
    assert await sweep(cast.wiring, now + DAYS) == 0


async def test_what_is_due_is_unreadable_while_the_sweep_is_stopped(cast: Cast, recordings: list[RecordingId]) -> None:
    browser = await cast.browser("researcher")
    assert (await browser.get(f"/recordings/{recordings[0]}/media")).status_code == 200
    await end_session(cast, ago=DAYS + timedelta(seconds=1))
    assert (await browser.get(f"/recordings/{recordings[0]}/media")).status_code == 404


async def test_sweeping_again_asks_nothing_twice(cast: Cast, recordings: list[RecordingId]) -> None:
    now = await end_session(cast, ago=timedelta(0))
    for _ in range(3):
        await sweep(cast.wiring, now + DAYS)
    assert len(await erasures(cast)) == 1
    async with cast.wiring.database.transaction(cast.account) as db:
        jobs = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = 'erase' AND status = 'todo'"
        assert (await db.execute(text(jobs))).scalar_one() == 1


async def test_until_asked_means_never_by_itself(cast: Cast, recordings: list[RecordingId]) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Study).values(retention_days=None))
        now = await now_in(db)
    assert await sweep(cast.wiring, now + timedelta(days=36_500)) == 0


async def test_a_hold_stops_it_and_its_end_resumes_it(cast: Cast, recordings: list[RecordingId]) -> None:
    now = await end_session(cast, ago=timedelta(0))
    async with cast.wiring.database.transaction(cast.account) as db:
        held = {"held_reason": "court", "held_until": now + DAYS + timedelta(days=9)}
        await db.execute(update(Recording).where(Recording.id == recordings[0]).values(**held))
    assert await sweep(cast.wiring, now + DAYS) == 1
    (first,) = await erasures(cast)
    assert first.recording_ids == [recordings[1]]
    await sweep(cast.wiring, now + DAYS + timedelta(days=9))
    assert recordings[0] in ((await erasures(cast))[-1].recording_ids or ())


async def test_a_person_whose_erasure_a_hold_stopped_is_erased_when_it_ends(
    cast: Cast, recordings: list[RecordingId]
) -> None:
    now = await end_session(cast, ago=timedelta(0))
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(update(Recording).where(Recording.id == recordings[0]).values(held_reason="court"))
    erasure = await ask(cast, cast.participant.participant)
    assert (await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())).state is ErasureState.HELD
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(text("UPDATE jobs.procrastinate_jobs SET status = 'succeeded', queueing_lock = NULL"))
        await db.execute(update(Recording).where(Recording.id == recordings[0]).values(held_reason=None))
    assert await sweep(cast.wiring, now + timedelta(minutes=5)) == 1
    assert (await run_erasure(cast.wiring, cast.account, erasure.id, nodes=SpyNodes())).state is ErasureState.COMPLETE


async def test_what_cannot_be_done_for_an_account_is_told_and_keeps_nothing_else_from_its_date(
    cast: Cast, recordings: list[RecordingId], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = await end_session(cast, ago=timedelta(0))
    async with cast.wiring.database.transaction(cast.account) as db:
        member = (await db.scalars(select(Member.id))).first()
        db.add(Note(account_id=cast.account, session_id=cast.session, member_id=member, at=now, text=b"sealed"))

    async def failing(*_: object, **__: object) -> int:
        raise KeyMissing

    monkeypatch.setattr("app.privacy.keeping.retention.erase_due_notes", failing)
    with pytest.raises(ExceptionGroup) as told:
        await sweep(cast.wiring, now + DAYS)
    assert [type(one) for one in told.value.exceptions] == [KeyMissing]
    assert len(await erasures(cast)) == 1


async def test_the_other_account_keeps_its_own_clock(cast: Cast, recordings: list[RecordingId]) -> None:
    now = await end_session(cast, ago=timedelta(0))
    await sweep(cast.wiring, now + DAYS)
    async with cast.wiring.database.transaction(cast.other_account) as db:
        assert await db.scalar(select(func.count()).select_from(Erasure)) == 0


async def test_what_could_not_be_verified_is_tried_again_after_a_pause(
    cast: Cast, recordings: list[RecordingId]
) -> None:
    now = await end_session(cast, ago=timedelta(0))
    await sweep(cast.wiring, now + DAYS)
    (erasure,) = await erasures(cast)
    silent = SpyNodes(reachable=False)
    assert (await run_erasure(cast.wiring, cast.account, erasure.id, nodes=silent)).state is ErasureState.PARTIAL
    async with cast.wiring.database.transaction(cast.account) as db:
        await db.execute(text("UPDATE jobs.procrastinate_jobs SET status = 'succeeded', queueing_lock = NULL"))
    assert await sweep(cast.wiring, now) == 0, "not before its pause is over"
    assert await sweep(cast.wiring, now + timedelta(minutes=5)) == 1
    async with cast.wiring.database.transaction(cast.account) as db:
        jobs = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = 'erase' AND status = 'todo'"
        assert (await db.execute(text(jobs))).scalar_one() == 1


NOON = datetime.fromisoformat("2027-01-01T12:00:00+00:00")


@pytest.mark.parametrize(
    ("state", "tries", "ago", "again"),
    [
        (ErasureState.ASKED, 0, None, True),
        (ErasureState.PARTIAL, 1, timedelta(seconds=59), False),
        (ErasureState.PARTIAL, 1, timedelta(seconds=60), True),
        (ErasureState.PARTIAL, 3, timedelta(minutes=3), False),
        (ErasureState.PARTIAL, 3, timedelta(minutes=4), True),
        (ErasureState.PARTIAL, 10_000, LONGEST_PAUSE, True),
        (ErasureState.RUNNING, 1, timedelta(minutes=1), True),
        (ErasureState.HELD, 1, timedelta(minutes=1), True),
        (ErasureState.COMPLETE, 1, timedelta(days=9), False),
    ],
)
def test_pauses_grow_and_never_end(state: ErasureState, tries: int, ago: timedelta | None, again: bool) -> None:
    assert due_again(state, tries, None if ago is None else NOON - ago, NOON) is again
