"""The audit log against its head outside the database: whatever is done to it shows, however well it is forged."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, text, update

from app.audit import FIRST, SYSTEM, Action, AuditEvent, event_hash, record, verify
from app.audit_heads import (
    Head,
    Heads,
    accept_heads,
    heads_of,
    keep_verdicts,
    note_heads,
    verify_against,
    verify_all,
)
from app.database import Database, Db
from recordings.model import AccountId
from tests.fixtures.web import Cast
from tests.hostile import trial

SEED = int(os.environ.get("TRIAL_SEED", "20261122"))
TAMPERINGS = 1000
EVENTS = 12


async def chain(database: Database, account: AccountId, events: int) -> None:
    async with database.transaction(account) as db:
        for number in range(events):
            action = random.Random(number).choice([Action.INVITED, Action.CONSENT_GIVEN, Action.RECORDING_VIEWED])
            await record(
                db, account=account, actor=SYSTEM, action=action, subject=f"thing:{number}", facts={"n": number}
            )


async def edit(db: Db, rows: Sequence[AuditEvent], dice: random.Random) -> None:
    column, value = dice.choice(
        [
            ("actor", f"member:{uuid4()}"), ("subject", "thing:x"), ("action", "accounts:login:ended"),
            ("facts", {"n": -1}), ("hash", dice.randbytes(32)), ("previous_hash", dice.randbytes(32)),
            ("at", dice.choice(rows).at.replace(year=2020)),
        ]
    )  # fmt: skip
    await db.execute(update(AuditEvent).where(AuditEvent.id == dice.choice(rows).id).values({column: value}))


async def remove(db: Db, rows: Sequence[AuditEvent], dice: random.Random) -> None:
    gone = dice.sample(list(rows), dice.randint(1, 3))
    await db.execute(delete(AuditEvent).where(AuditEvent.id.in_([row.id for row in gone])))


async def cut_the_end(db: Db, rows: Sequence[AuditEvent], dice: random.Random) -> None:
    await db.execute(delete(AuditEvent).where(AuditEvent.number > dice.randint(0, len(rows) - 1)))


async def swap(db: Db, rows: Sequence[AuditEvent], dice: random.Random) -> None:
    one, other = dice.sample(list(rows), 2)
    for row, number in ((one, 0), (other, one.number), (one, other.number)):
        await db.execute(update(AuditEvent).where(AuditEvent.id == row.id).values(number=number))


async def insert(db: Db, rows: Sequence[AuditEvent], dice: random.Random) -> None:
    """In the middle, as a forger does it who does not compute every hash that follows; at the end with a gap."""
    after = dice.choice(rows)
    later = AuditEvent.number > after.number
    await db.execute(update(AuditEvent).where(later).values(number=AuditEvent.number + 100))
    forged = copy_of(after, number=after.number + 1, subject="thing:forged", previous=after.hash)
    db.add(forged)
    await db.flush()
    await db.execute(update(AuditEvent).where(AuditEvent.number > 100).values(number=AuditEvent.number - 99))
    if after.number == len(rows):  # what follows the true end is no tampering with the past: bend a link as well
        await edit(db, rows, dice)


async def forge(db: Db, rows: Sequence[AuditEvent], dice: random.Random) -> None:
    """From somewhere on, every hash is computed anew: the chain holds by itself, and only the head tells."""
    at = dice.randrange(len(rows))
    shorter = dice.random() < 0.5
    kept = list(rows[:at]) + list(rows[at + 1 :] if shorter else rows[at:])
    await db.execute(delete(AuditEvent))
    previous = FIRST
    for number, row in enumerate(kept, 1):
        subject = "thing:forged" if number == at + 1 and not shorter else row.subject
        made = copy_of(row, number=number, subject=subject, previous=previous)
        previous = made.hash
        db.add(made)
    await db.flush()


def copy_of(row: AuditEvent, *, number: int, subject: str, previous: bytes) -> AuditEvent:
    made = AuditEvent(
        id=uuid4(), account_id=row.account_id, number=number, at=row.at, actor=row.actor, action=row.action,
        subject=subject, facts=row.facts, previous_hash=previous,
    )  # fmt: skip
    made.hash = event_hash(made)
    return made


WAYS: Sequence[Callable[[Db, Sequence[AuditEvent], random.Random], Awaitable[None]]] = (
    edit, remove, cut_the_end, swap, insert, forge,
)  # fmt: skip


async def test_a_thousand_random_tamperings_are_found(database: Database, superuser_url: str) -> None:
    account = AccountId(uuid4())
    await chain(database, account, EVENTS)
    almighty = Database(superuser_url)
    missed, forged_alone = [], 0
    try:
        async with almighty.transaction(account) as db:
            await db.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
            whole = await verify(db, account)
            head = Head(number=whole.events, hash=whole.last)
            assert (await verify_against(db, account, head)).intact
            rows = (await db.scalars(select(AuditEvent).order_by(AuditEvent.number))).all()
            db.expunge_all()
            for number in range(TAMPERINGS):
                dice = random.Random(f"{SEED}-{number}")
                way = WAYS[number % len(WAYS)]
                async with db.begin_nested() as attempt:
                    await way(db, rows, dice)
                    db.expunge_all()
                    if (await verify_against(db, account, head)).intact:
                        missed.append((number, way.__name__))
                    if way is forge:
                        db.expunge_all()
                        forged_alone += (await verify(db, account)).intact
                    db.expunge_all()
                    await attempt.rollback()
            assert (await verify_against(db, account, head)).intact  # none of it stayed
            await db.rollback()
    finally:
        await almighty.close()
    trial.note("audit tamperings", seed=SEED, tamperings=TAMPERINGS, missed=len(missed), forged_alone=forged_alone)
    assert missed == [], f"seed {SEED}"
    assert forged_alone > 150, "a chain alone does not see these"


async def head_of(cast: Cast) -> Head:
    return heads_of(cast.wiring.settings).read()[cast.account]


async def test_heads_follow_the_log_and_every_account_is_unbroken(cast: Cast) -> None:
    database, heads = cast.wiring.database, heads_of(cast.wiring.settings)
    await note_heads(database, heads)
    before = await head_of(cast)
    await chain(database, cast.account, 2)
    await note_heads(database, heads)
    after = await head_of(cast)
    assert after.number == before.number + 2
    verdicts = await verify_all(database, heads)
    assert {cast.account} <= set(verdicts) and all(verdict.intact for verdict in verdicts.values())
    assert heads.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("grown", [False, True])
async def test_a_chain_written_anew_is_told_and_its_head_is_not_followed(
    cast: Cast, superuser_url: str, grown: bool
) -> None:
    database, heads = cast.wiring.database, heads_of(cast.wiring.settings)
    await chain(database, cast.account, 4)
    await note_heads(database, heads)
    noted = await head_of(cast)
    await forge_all(superuser_url, cast.account)
    if grown:
        await chain(database, cast.account, 3)
    await note_heads(database, heads)
    assert await head_of(cast) == noted
    verdict = (await verify_all(database, heads))[cast.account]
    assert not verdict.intact and verdict.broken_at == noted.number
    await accept_heads(database, heads)  # what a restore on purpose does
    assert (await verify_all(database, heads))[cast.account].intact


async def forge_all(superuser_url: str, account: UUID) -> None:
    almighty = Database(superuser_url)
    async with almighty.transaction() as db:
        await db.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
        mine = select(AuditEvent).where(AuditEvent.account_id == account).order_by(AuditEvent.number)
        previous = FIRST
        for row in (await db.scalars(mine)).all():
            row.subject, row.previous_hash = row.subject + "x", previous
            previous = row.hash = event_hash(row)
        await db.flush()
        await db.execute(text("ALTER TABLE audit_event ENABLE TRIGGER USER"))
    await almighty.close()


async def test_a_log_removed_as_a_whole_is_missed(cast: Cast, superuser_url: str) -> None:
    database, heads = cast.wiring.database, heads_of(cast.wiring.settings)
    await chain(database, cast.account, 1)
    await note_heads(database, heads)
    almighty = Database(superuser_url)
    async with almighty.transaction() as db:
        await db.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
        await db.execute(delete(AuditEvent).where(AuditEvent.account_id == cast.account))
    await almighty.close()
    verdict = (await verify_all(database, heads))[cast.account]
    assert (verdict.intact, verdict.broken_at) == (False, 1)


async def test_the_owner_sees_how_the_log_was_found(cast: Cast) -> None:
    database, heads = cast.wiring.database, heads_of(cast.wiring.settings)
    owner = await cast.browser("owner")
    assert "the first time is still to come" in (await owner.get("/audit")).text
    await chain(database, cast.account, 3)
    await note_heads(database, heads)
    await keep_verdicts(database, await verify_all(database, heads))
    assert "none changed or missing" in (await owner.get("/audit")).text
    found = (await verify_all(database, heads))[cast.account]
    heads.write({cast.account: Head(number=found.events + 5, hash=bytes(32))})
    await keep_verdicts(database, await verify_all(database, heads))
    assert f"broken at line {found.events + 1}" in (await owner.get("/audit")).text


def test_heads_are_whole_or_the_former_ones(tmp_path: Path) -> None:
    heads = Heads(tmp_path / "ledger" / "audit-heads.json")
    assert heads.read() == {}
    with heads.locked():
        heads.write({UUID(int=1): Head(number=3, hash=bytes(32))})
    (tmp_path / "ledger" / "audit-heads.json.part").write_bytes(b"{")
    assert heads.read() == {UUID(int=1): Head(number=3, hash=bytes(32))}
