"""J4-19c, J4-08: what was asked, held, closed or decided after a backup is so again when that backup is restored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.accounts.members import change_role, remove_member
from app.accounts.models import Member, Role
from app.accounts.ownership import give_owner, ownerless
from app.accounts.service import add_member
from app.audit import Action, AuditEvent
from app.privacy.erasing.service import ask_erasure
from app.privacy.keeping.holds import HoldInput, release, set_hold
from app.privacy.keeping.keeping import Change, keep
from app.privacy.records.models import DataRequest, Erasure, ErasureReason, ErasureState, RequestState
from app.privacy.replaying import Replayed, catch_up
from app.sessions.models import HoldReason, Recording, Session
from app.studies.models import Study
from app.studies.service import close_study
from recordings.model import PersonId, RecordingRef, StreamKind
from tests.promises.drill import backed_up, restored
from tests.promises.world import World

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)


async def ask(world: World, person: PersonId, reason: ErasureReason, **extent: Any) -> Erasure:
    async with world.wiring.database.transaction(world.lab.account) as db:
        return await ask_erasure(
            db,
            account=world.lab.account,
            person=person,
            reason=reason,
            asked_by=f"participant:{person}" if reason is ErasureReason.REQUEST else "system",
            instruction="as the test says",
            **extent,
        )


async def test_j4_19c_what_was_asked_and_had_not_begun_is_asked_again(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """By the participant, by its date, and by the owner: unreadable at the start, and a job of the workers."""
    anna, ben = await world.registered(world.anna), await world.registered(world.ben)
    by_date, by_owner = await world.record(anna), await world.record(anna, stream=StreamKind.SCREEN)
    hers = await world.record(ben)
    file = await backed_up(world, owner_url, tmp_path)
    asked = [
        await ask(world, anna.person, ErasureReason.RETENTION, recordings=[by_date.recording]),
        await ask(world, anna.person, ErasureReason.OWNER, recordings=[by_owner.recording]),
        await ask(world, ben.person, ErasureReason.REQUEST),
    ]
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(asked=3)
        rows = {row.id: row for row in await then.rows(then.lab, Erasure)}
        assert {row.id: (row.reason, row.receipt, ErasureState.ASKED) for row in asked} == {
            row.id: (row.reason, row.receipt, row.state) for row in rows.values()
        }
        [request] = await then.rows(then.lab, DataRequest)  # in the owner's inbox, under the number people know
        assert (request.receipt, request.state) == (asked[2].receipt, RequestState.OPEN)
        owner = await then.member(then.lab)
        for ref in (by_date, by_owner, hers):
            assert (await owner.http.get(f"/recordings/{ref.recording}/media")).status_code in (403, 404, 409)
        assert await catch_up(then.wiring, then.node) == Replayed()
        await then.work()
        assert {row.state for row in await then.rows(then.lab, Erasure)} == {ErasureState.COMPLETE}
        assert {row.state for row in await then.rows(then.lab, DataRequest)} == {RequestState.DONE}
        assert await catch_up(then.wiring, then.node) == Replayed()


async def held(world: World, ref: RecordingRef, *, lift: bool = False) -> None:
    async with world.wiring.database.transaction(world.lab.account) as db:
        rows = [await db.get_one(Recording, ref.recording, with_for_update=True)]
        if lift:
            await release(db, rows, by=world.lab.owner)
        else:
            hold = HoldInput(reason=HoldReason.CLAIM, words="File 12/27", until=SOON)
            await set_hold(db, world.wiring.columns, rows, hold, by=world.lab.owner)


async def test_j4_19c_holds_closed_studies_and_how_long_is_kept_are_as_was_last_said(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """A period that was made longer too: else the first sweep would destroy what the owner chose to keep."""
    account, lab = world.lab.account, world.lab
    anna = await world.registered(world.anna)
    set_since, lifted_since = await world.record(anna), await world.record(anna, stream=StreamKind.SCREEN)
    await held(world, lifted_since)
    file = await backed_up(world, owner_url, tmp_path)
    await held(world, set_since)
    await held(world, lifted_since, lift=True)
    async with world.wiring.database.transaction(account) as db:
        await keep(db, Change(days=20, study=lab.study), account=account, by="member:x")
        await keep(db, Change(days=10, session=lab.session, periods={"video": 5}), account=account, by="member:x")
        await keep(db, Change(days=400, study=lab.study), account=account, by="member:x")
        await close_study(db, study=lab.study, by="member:x")
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(others=5)
        rows = {row.id: row for row in await then.rows(then.lab, Recording)}
        kept = rows[set_since.recording]
        assert (kept.held_reason, kept.held_until, kept.held_words) == (HoldReason.CLAIM, SOON, None)
        assert rows[lifted_since.recording].held_reason is None
        [study] = await then.rows(then.lab, Study, Study.id == lab.study)
        assert study.retention_days == 400 and study.closed_at is not None
        [session] = await then.rows(then.lab, Session, Session.id == lab.session)
        assert (session.retention_days, session.periods) == (10, {"video": 5})
        said = {event.action for event in await then.rows(then.lab, AuditEvent, AuditEvent.actor == "system")}
        assert said >= {Action.RECORDING_HELD, Action.RECORDING_RELEASED, Action.RETENTION_CHANGED, Action.STUDY_CLOSED}
        owner = await then.member(then.lab)
        assert "legal claim" in (await owner.open("/holds")).words.lower()
        assert await catch_up(then.wiring, then.node) == Replayed()


async def test_j4_19c_what_was_erased_stays_so_under_a_hold_that_was_set_afterwards(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """Its camera is gone for good; the hold keeps the rest, and does not stop the replay."""
    ref = await world.record(await world.registered(world.anna))
    file = await backed_up(world, owner_url, tmp_path)
    await ask(world, ref.person, ErasureReason.OWNER, recordings=[ref.recording], kinds=["camera"])
    await world.work()
    await held(world, ref)
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(erasures=1, others=1)
        [erasure] = await then.rows(then.lab, Erasure)
        assert erasure.state == ErasureState.COMPLETE
        [row] = await then.rows(then.lab, Recording)
        assert row.held_reason == HoldReason.CLAIM and row.erased_at is None


async def test_j4_08_an_account_that_nobody_owns_after_a_restore_starts_and_is_given_an_owner(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
):
    """A new owner came after the backup, the former one went."""
    account, columns = world.lab.account, world.wiring.columns
    file = await backed_up(world, owner_url, tmp_path)
    async with world.wiring.database.transaction(account) as db:
        fresh = await add_member(db, columns, account=account, name="Ida", email="ida@lab.example", role=Role.OBSERVER)
        await change_role(db, member=fresh, role=Role.OWNER)
        await remove_member(db, member=world.lab.owner)
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed == Replayed(others=1, ownerless=(account,))
        async with then.wiring.database.transaction(account) as db:
            ida = await give_owner(db, columns, account=account, name="Ida", email="ida@lab.example")
        [row] = await then.rows(then.lab, Member, Member.id == ida)
        assert (row.role, row.removed_at) == (Role.OWNER, None)
        async with then.wiring.database.transaction() as db:
            assert await ownerless(db) == []
        [event] = await then.rows(then.lab, AuditEvent, AuditEvent.subject == f"member:{ida}")
        assert (event.actor, event.action, event.facts) == ("system", Action.MEMBER_INVITED, {"role": "owner"})
