"""T0-21 and T0-30: what is kept for years, by the clock: the register of requests three, a recording twenty."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import Action, AuditEvent
from app.database import Database
from app.privacy.erasing.epochs import renew_keys
from app.privacy.keeping.retention import sweep
from app.privacy.records.models import Certificate, DataRequest, Erasure, RequestItem, RequestKind, RequestState
from app.privacy.records.register import SETTLED, kept_until, note_request
from app.sessions.models import Session
from app.studies.forms import LONGEST_DAYS
from app.studies.models import Study
from tests.promises.test_j4_clocks import of_study
from tests.promises.test_j4_rights import ask_to_be_erased
from tests.promises.world import Lab, World, make_world

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
TWENTY_YEARS = 7305  # days
EPOCH = timedelta(hours=int(os.environ.get("EPOCH_HOURS", "744")))
"""The longest that JUNIER_KEY_EPOCH_HOURS allows; the long form goes day by day, as the setting stands by itself."""
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(SETTLED))
def test_t0_21_three_years_to_the_second(settled: datetime, state: RequestState):
    until = kept_until(state, settled)
    assert until is not None and until.time() == settled.time() and until.year == settled.year + 3
    assert (until.month, until.day) == (settled.month, 28 if settled.strftime("%m%d") == "0229" else settled.day)


@given(MOMENTS, st.sampled_from(sorted(set(RequestState) - set(SETTLED))))
def test_t0_21_what_is_not_settled_is_not_forgotten(asked: datetime, state: RequestState):
    assert kept_until(state, asked) is None and kept_until(RequestState.DONE, None) is None


async def requests_of(world: World, lab: Lab, answered: datetime) -> dict[RequestState, UUID]:
    """One in each state, answered then where it is settled."""
    found = {}
    async with world.wiring.database.transaction(lab.account) as db:
        for state in RequestState:
            row = await note_request(
                db,
                account=lab.account,
                participant=world.anna.person,
                kind=RequestKind.ACCESS,
                state=state,
                now=answered - 20 * DAY,
                receipt=f"E-{state}",
            )
            row.answered_at = answered
            item = {"request_id": row.id, "sort": "camera", "item_id": uuid4(), "ground": "claim"}
            db.add(RequestItem(account_id=lab.account, **item))
            found[state] = row.id
    return found


async def test_t0_21_the_register_forgets_after_three_years_and_the_log_says_so(world: World):
    answered = datetime(2026, 11, 22, 14, tzinfo=UTC)
    asked = await requests_of(world, world.lab, answered)
    old = datetime(2029, 11, 22, 14, tzinfo=UTC)
    await sweep(world.wiring, old - SECOND)
    assert {row.id for row in await world.rows(world.lab, DataRequest)} == set(asked.values())
    for _twice in range(2):
        await sweep(world.wiring, old)
        left = {row.id for row in await world.rows(world.lab, DataRequest)}
        assert left == {asked[state] for state in RequestState if state not in SETTLED}
        assert {row.request_id for row in await world.rows(world.lab, RequestItem)} == left
    told = await world.rows(world.lab, AuditEvent, AuditEvent.action == Action.REQUEST_FORGOTTEN)
    assert {row.subject for row in told} == {f"request:{asked[state]}" for state in SETTLED} and len(told) == 2
    page = await (await world.member(world.lab)).open("/audit")
    assert "three years after its answer" in page.words
    assert all(f"/requests/{asked[state]}" not in page.html for state in SETTLED), "a link to nothing"


async def test_t0_21_the_certificate_of_an_erasure_outlives_its_request(world: World):
    receipt = await ask_to_be_erased(world, await world.registered(world.anna))
    await world.work()
    await sweep(world.wiring, datetime.now(UTC) + 4 * 366 * DAY)
    assert await world.rows(world.lab, DataRequest) == []
    assert len(await world.rows(world.lab, Certificate)) == 1
    assert (await world.browser().http.get(receipt)).status_code == 200


@pytest.mark.parametrize(("days", "status"), [(TWENTY_YEARS, 303), (LONGEST_DAYS, 303), (LONGEST_DAYS + 1, 422)])
async def test_t0_30_an_owner_keeps_up_to_thirty_years(world: World, days: int, status: int):
    owner = await world.member(world.lab)
    answer = await world.post(owner, of_study(world), {"keep": "days", "days": str(days)})
    assert answer.status_code == status
    [study] = await world.rows(world.lab, Study)
    assert (study.retention_days == days) is (status == 303)


@pytest.fixture
async def swift(database: Database) -> AsyncIterator[World]:
    """A world whose keys and media lie in memory, where there is such a folder: no power is lost here."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        world = await make_world(database, Path(folder))
        yield world
        await world.close()


async def test_t0_30_twenty_years_and_every_rotation_of_keys_later_it_plays_and_then_goes(swift: World):
    """The clock of the keys goes on for twenty years; of the recording, its session is moved as far into the past."""
    world = swift
    ref = await world.record(await world.registered(world.anna))
    await world.end(world.lab)
    await world.change(world.lab, Study, world.lab.study, retention_days=TWENTY_YEARS)
    first, now = await world.served(ref), datetime.now(UTC)
    assert first["video"] and first["audio"]
    epochs = 0
    while epochs * EPOCH < TWENTY_YEARS * DAY:
        epochs += 1
        assert world.wiring.keys.rotate() == 3, "both accounts, and the platform"
    assert epochs >= 235
    assert await renew_keys(world.wiring, now + TWENTY_YEARS * DAY), "as the clock of keys does it"
    [session] = await world.rows(world.lab, Session, Session.id == world.lab.session)
    ended = now - TWENTY_YEARS * DAY
    await world.change(world.lab, Session, session.id, ended_at=ended + timedelta(hours=1))
    assert await sweep(world.wiring, datetime.now(UTC)) == 0
    assert await world.served(ref) == first
    await world.change(world.lab, Session, session.id, ended_at=ended)
    owner = await world.member(world.lab)
    assert (await owner.http.get(f"/recordings/{ref.recording}/media")).status_code in (404, 410)
    assert await sweep(world.wiring, datetime.now(UTC)) == 1
    await world.work()
    [erasure] = await world.rows(world.lab, Erasure)
    assert erasure.state == "complete"
