"""Replay: a database that was restored learns from the ledger what it forgot, before it serves its first request.

How a restore is noticed: the database knows how far it knows the ledger (LedgerMark). A restored one knows less, no
matter by which program it was restored. One without its ledger serves nobody.

Each line is a transaction of its own, in the order of the ledger, and the mark moves on when all are done: whoever is
killed begins again there, and what was done already is only looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert

from app.accounts.ownership import ownerless
from app.errors import JunierError
from app.ledger import Line, ledger_of
from app.ledger_entries import Entry, Erased, RecordingHeld
from app.privacy.erasing.service import Nodes, run_erasure
from app.privacy.records.models import ErasureState, LedgerMark
from app.privacy.replays import Found, do_again
from app.privacy.serving import Claim, claim
from app.wiring import Wiring
from recordings.model import AccountId

LOCK = 0x6C656467
"""Advisory lock: of the processes of one installation the first replays, the others wait."""
SETTLED = timedelta(minutes=10)
"""Lines this old belong to transactions that are over."""

log = logging.getLogger("junier.privacy")


class LedgerLost(JunierError):
    """The ledger of erasures does not fit this database: it is missing, shorter, or another one. Without it nobody
    knows what was erased since the backup, so nothing is served. Put back ledger/ in the folder of the key store."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """How many erasures, unsubscribed addresses and other things (people taken out, consents taken back, restrictions,
    corrected addresses, holds …) the database had forgotten; asked: erasures that had not begun, and are asked again;
    open: erasures that are not verified yet and are tried again; ownerless: accounts that nobody owns now."""

    erasures: int = 0
    asked: int = 0
    addresses: int = 0
    others: int = 0
    open: int = 0
    ownerless: tuple[UUID, ...] = ()


async def catch_up(wiring: Wiring, nodes: Nodes, *, instead_of: Claim | None = None) -> Replayed:
    """Bring the database up to the end of the ledger. For every process, before it serves; when nothing was restored
    it only looks. instead_of: the database that this one takes the place of. Raises LedgerLost, LedgerDamaged,
    LedgerUnread, ServedElsewhere."""
    ledger = ledger_of(wiring.settings)
    async with _alone(wiring):
        mark = await _mark(wiring)
        if mark is None:
            mark = await _first_mark(wiring, await asyncio.to_thread(ledger.start))
        elif await asyncio.to_thread(ledger.identity) != mark.ledger or ledger.size() < mark.position:
            raise LedgerLost
        await asyncio.to_thread(ledger.mend)
        lines = await asyncio.to_thread(ledger.lines, mark.position)
        await claim(wiring, instead_of=instead_of)  # nothing is erased for a copy
        replayed = await _replay(wiring, nodes, lines, lines)
    _tell(replayed)
    return replayed


async def settle(wiring: Wiring, nodes: Nodes) -> None:
    """Note how far the ledger is known, so that the next start has little to look at. What the database does not know,
    because it was restored while this program ran, is done again first. Safe to run beside anything."""
    ledger, until = ledger_of(wiring.settings), datetime.now(UTC) - SETTLED
    async with _alone(wiring):
        mark = await _mark(wiring)
        if mark is None or await asyncio.to_thread(ledger.identity) != mark.ledger:
            return  # the next start says what is wrong
        lines = await asyncio.to_thread(ledger.lines, mark.position)
        old = list(takewhile(lambda line: line.entry.at <= until, lines))
        replayed = await _replay(wiring, nodes, old, lines)
    _tell(replayed)


async def _replay(wiring: Wiring, nodes: Nodes, lines: Sequence[Line], known: Sequence[Line]) -> Replayed:
    """lines: those to do again; known: these and what follows them, where a later word on the same may stand."""
    words = last_words(lines, known)
    forgotten: list[Erased] = []
    done: Counter[str] = Counter()
    unfinished = 0

    async def again(entry: Entry) -> None:
        async with wiring.database.transaction(AccountId(entry.account)) as db:
            found = await do_again(db, entry)
        if found is Found.TO_ERASE and isinstance(entry, Erased):
            forgotten.append(entry)
        done[entry.event] += found is Found.DONE

    for entry in words:
        if not isinstance(entry, RecordingHeld):
            await again(entry)
    for erasure in forgotten:  # all are hidden by now; what follows destroys, closes the rows and certifies
        outcome = await run_erasure(wiring, AccountId(erasure.account), erasure.erasure, nodes=nodes)
        unfinished += outcome.state is not ErasureState.COMPLETE
    for entry in words:  # what was erased went before a hold that stands now, or beside it: none stops it again
        if isinstance(entry, RecordingHeld):
            await again(entry)
    await _move_mark(wiring, max((line.end for line in lines), default=0))
    async with wiring.database.transaction() as db:
        nobodys = tuple(await ownerless(db)) if done["member"] else ()
    asked, addresses = done.pop("asked", 0), done.pop("suppressed", 0)
    return Replayed(
        erasures=len(forgotten),
        asked=asked,
        addresses=addresses,
        others=done.total(),
        open=unfinished,
        ownerless=nobodys,
    )


def last_words(lines: Sequence[Line], known: Sequence[Line]) -> list[Entry]:
    """Of everything that happened the last word on each thing, where that stands in `lines`, in their order."""
    last = {line.entry.about: line.end for line in known if line.counts}
    return [line.entry for line in lines if line.counts and last[line.entry.about] == line.end]


@asynccontextmanager
async def _alone(wiring: Wiring) -> AsyncIterator[None]:
    """The lock is of a connection, not of a transaction: none stays open while erasures run. It ends with it."""
    async with wiring.database.engine.connect() as connection:
        beside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await beside.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        try:
            yield
        finally:
            await beside.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})


async def _mark(wiring: Wiring) -> LedgerMark | None:
    async with wiring.database.transaction() as db:
        return await db.get(LedgerMark, 1)


async def _first_mark(wiring: Wiring, ledger: UUID) -> LedgerMark:
    """What was in the ledger before this database was made is looked at once."""
    async with wiring.database.transaction() as db:
        await db.execute(insert(LedgerMark).values(only=1, ledger=ledger, position=0).on_conflict_do_nothing())
        return await db.get_one(LedgerMark, 1)


async def _move_mark(wiring: Wiring, position: int) -> None:
    async with wiring.database.transaction() as db:
        await db.execute(update(LedgerMark).where(LedgerMark.position < position).values(position=position))


def _tell(replayed: Replayed) -> None:
    if replayed != Replayed():
        log.warning(
            "the database had forgotten %s erasures, %s that were asked for, %s addresses and %s other things",
            replayed.erasures,
            replayed.asked,
            replayed.addresses,
            replayed.others,
        )
    for account in replayed.ownerless:
        log.error("nobody owns account %s any more; see: junier account give-owner", account)
