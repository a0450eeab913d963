"""How long is kept, and what is left of answers, as the ledger says it again to a database from before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update

from app.accounts.models import Account
from app.audit import SYSTEM, Action, AuditEvent
from app.ledger import ledger_of
from app.ledger_entries import Entry, KeptFor
from app.privacy.keeping.keeping import Change, keep
from app.privacy.replaying import last_words
from app.privacy.replays import Found, do_again
from app.studies.clocks import Ending
from app.studies.models import Study, Tally
from app.studies.questions import add_question
from app.studies.tallies import add_answer
from tests.fixtures.answering import CHOICE
from tests.promises.conftest import world
from tests.promises.drill import backed_up, restored
from tests.promises.world import Lab, World

__all__ = ["world"]

LONG_AGO = datetime.now(UTC) - timedelta(days=9)


async def counted(world: World, lab: Lab) -> None:
    """Under "anonymise", one answer was counted."""
    async with world.wiring.database.transaction(lab.account) as db:
        await db.execute(update(Study).values(ending=Ending.ANONYMISE))
        question = await add_question(db, study=lab.study, asked=CHOICE, by=SYSTEM)
        await add_answer(db, account=lab.account, question=question, chosen=["Mouse"])


async def default_of(world: World) -> int | None:
    [row] = await world.rows(world.lab, Account)
    return row.retention_days  # type: ignore[no-any-return]


async def again(world: World, entry: Entry) -> Found:
    async with world.wiring.database.transaction(world.lab.account) as db:
        return await do_again(db, entry)


async def choose(world: World, days: int) -> None:
    owner = await world.member(world.lab)
    assert (await world.post(owner, "/retention/default", {"default": str(days)})).status_code == 303


async def test_what_the_owner_chose_since_the_backup_stands_when_it_is_restored(
    world: World, tmp_path: Path, owner_url: str, empty_urls: dict[str, str]
) -> None:
    """The period of new studies, and "erase", which takes the counts along that the backup remembers."""
    await counted(world, world.lab)
    await counted(world, world.other)
    file = await backed_up(world, owner_url, tmp_path)
    await choose(world, 30)
    async with world.wiring.database.transaction(world.lab.account) as db:
        change = Change(days=90, study=world.lab.study, ending=Ending.ERASE)
        await keep(db, change, account=world.lab.account, by=f"member:{world.lab.owner}")
    async with restored(world, file, empty_urls) as (then, replayed):
        assert replayed.others == 2
        assert await default_of(then) == 30
        [study] = await then.rows(then.lab, Study)
        assert (study.retention_days, study.ending) == (90, Ending.ERASE)
        assert await then.rows(then.lab, Tally) == []
        assert len(await then.rows(then.other, Tally)) == 1, "another account's stay"
        changed = await then.rows(then.lab, AuditEvent, AuditEvent.action == Action.RETENTION_CHANGED)
        assert {"default_days": 30} in [event.facts for event in changed]
        assert all(event.actor == SYSTEM for event in changed)


async def test_counts_stay_while_answers_still_end_in_them(world: World) -> None:
    await counted(world, world.lab)

    def kept(ending: str | None) -> KeptFor:
        return KeptFor(
            at=LONG_AGO, account=world.lab.account, level="study", subject=world.lab.study, days=7, periods={},
            ending=ending,
        )  # fmt: skip

    for ending, left in ((None, 1), (Ending.ANONYMISE, 1), (Ending.ERASE, 0)):
        await again(world, kept(ending))
        assert len(await world.rows(world.lab, Tally)) == left


async def test_the_ledger_knows_the_period_of_new_studies_and_what_a_limit_makes_of_it(world: World) -> None:
    before = await default_of(world)
    await choose(world, 300)
    await choose(world, 300)  # says nothing new
    async with world.wiring.database.transaction(world.lab.account) as db:
        await keep(db, Change(days=60), account=world.lab.account, by=SYSTEM)
    assert before is not None and before < 300 and await default_of(world) == 60
    lines = [line for line in ledger_of(world.settings).lines() if line.entry.about[1:] == about(world)]
    assert [(one.entry.days, one.entry.gives) for one in lines if isinstance(one.entry, KeptFor)] == [
        (300, True),
        (60, False),
    ]
    [last] = last_words(lines, lines)
    assert await again(world, last) is Found.KNOWN
    async with world.wiring.database.transaction(world.lab.account) as db:
        await db.execute(update(Account).values(retention_days=before))
    assert await again(world, last) is Found.DONE and await default_of(world) == 60
    async with world.wiring.database.transaction(world.other.account) as db:
        assert await db.scalar(select(Account.retention_days)) == before


def about(world: World) -> tuple[UUID, str, UUID]:
    return world.lab.account, "default", world.lab.account
