"""Replay: a database that was restored learns from the ledger what it forgot, before it serves its first request.

How a restore is noticed: the database knows how far it knows the ledger (LedgerMark). A restored one knows less, no
matter by which program it was restored. One without its ledger serves nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product, takewhile
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.accounts.models import Account
from app.database import Db, now_in
from app.errors import JunierError
from app.ledger import Ledger, LedgerEntry, LedgerEvent, Line, Suppressed, ledger_of
from app.mail.service import is_suppressed, stop_waiting, suppress
from app.participants.models import Consent, Participant
from app.privacy.models import Erasure, ErasureReason, ErasureState, LedgerMark
from app.privacy.policy import kinds_withdrawn
from app.privacy.service import Nodes, close_kinds, run_erasure
from app.sessions.models import Recording
from app.studies.models import ConsentKind
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

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
    """How many erasures and unsubscribed addresses the database had forgotten; open: erasures of these that are not
    verified yet and are tried again."""

    erasures: int = 0
    addresses: int = 0
    open: int = 0


async def catch_up(wiring: Wiring, nodes: Nodes) -> Replayed:
    """Bring the database up to the end of the ledger. For every process, before it serves; when nothing was restored
    it only looks. Raises LedgerLost."""
    ledger = ledger_of(wiring.settings)
    async with wiring.database.transaction() as db:
        await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        mark = await db.get(LedgerMark, 1)
        if mark is None:
            identity, position = await asyncio.to_thread(ledger.start), 0
        else:
            identity, position = mark.ledger, mark.position
            if await asyncio.to_thread(ledger.identity) != identity or ledger.size() < position:
                raise LedgerLost
        lines = await asyncio.to_thread(lambda: list(ledger.lines(position)))
        end = max((line.end for line in lines), default=position)
        replayed = await _replay(wiring, nodes, lines)
        await _mark(db, identity, end)
    _tell(replayed)
    return replayed


async def settle(wiring: Wiring, nodes: Nodes) -> None:
    """Note how far the ledger is known, so that the next start has little to look at. What the database does not know,
    because it was restored while this program ran, is done again first. Safe to run beside anything."""
    ledger, until = ledger_of(wiring.settings), datetime.now(UTC) - SETTLED
    async with wiring.database.transaction() as db:
        mark = await db.get(LedgerMark, 1, with_for_update=True)
        if mark is None or await asyncio.to_thread(ledger.identity) != mark.ledger:
            return  # the next start says what is wrong
        lines = await asyncio.to_thread(_settled, ledger, mark.position, until)
        replayed = await _replay(wiring, nodes, lines)
        mark.position = max((line.end for line in lines), default=mark.position)
    _tell(replayed)


def _settled(ledger: Ledger, position: int, until: datetime) -> list[Line]:
    return list(takewhile(lambda line: line.entry.at <= until, ledger.lines(position)))


def _tell(replayed: Replayed) -> None:
    if replayed != Replayed():
        log.warning("the database had forgotten %s erasures and %s addresses", replayed.erasures, replayed.addresses)


async def _mark(db: Db, ledger: UUID, position: int) -> None:
    said = {"ledger": ledger, "position": position}
    await db.execute(
        insert(LedgerMark).values(only=1, **said).on_conflict_do_update(index_elements=[LedgerMark.only], set_=said)
    )


async def _replay(wiring: Wiring, nodes: Nodes, lines: Sequence[Line]) -> Replayed:
    erasures: dict[UUID, LedgerEntry] = {}
    addresses = 0
    for line in lines:
        if isinstance(line.entry, Suppressed):
            addresses += await _suppress(wiring, line.entry)
        else:
            erasures[line.entry.erasure] = line.entry  # the last word on each
    forgotten = [entry for entry in erasures.values() if await _recall(wiring, entry)]
    unfinished = 0
    for entry in forgotten:  # all are hidden by now; what follows destroys, closes the rows and certifies
        outcome = await run_erasure(wiring, AccountId(entry.account), entry.erasure, nodes=nodes)
        unfinished += outcome.state is not ErasureState.COMPLETE
    return Replayed(erasures=len(forgotten), addresses=addresses, open=unfinished)


async def _suppress(wiring: Wiring, entry: Suppressed) -> bool:
    """True when the database did not know it."""
    async with wiring.database.transaction(AccountId(entry.account)) as db:
        if await db.get(Account, entry.account) is None:  # made after the backup, and gone with it
            return False
        if await is_suppressed(db, address_index=entry.address):
            return False
        await suppress(db, account=AccountId(entry.account), address_index=entry.address)
        for person in await db.scalars(select(Participant.id).where(Participant.email_index == entry.address)):
            await stop_waiting(db, person=PersonId(person))
    return True


async def _recall(wiring: Wiring, entry: LedgerEntry) -> bool:
    """Write the erasure the database forgot; True when it has to run."""
    async with wiring.database.transaction(AccountId(entry.account)) as db:
        if await db.get(Account, entry.account) is None:
            return False
        row = await db.get(Erasure, entry.erasure, with_for_update=True)
        if row is not None and (row.state == ErasureState.COMPLETE or entry.event is LedgerEvent.BEGUN):
            return False
        if entry.event is LedgerEvent.COMPLETE:
            await _lift_holds(db, entry)
        if entry.reason == ErasureReason.WITHDRAWAL:
            await _withdraw_again(db, entry)
        if row is None:
            row = _row(entry)
            db.add(row)
        if row.track_kinds is not None:
            await close_kinds(db, row, await now_in(db))
    return True


def _row(entry: LedgerEntry) -> Erasure:
    return Erasure(
        id=entry.erasure,
        account_id=entry.account,
        reason=entry.reason,
        person_id=entry.person,
        recording_ids=entry.recordings,
        response_ids=entry.responses,
        track_kinds=entry.kinds,
        asked_by=entry.asked_by,
        instruction=entry.instruction,
        state=ErasureState.ASKED,
        asked_at=entry.asked_at,
        receipt=entry.receipt,
        tries=0,
        found={},
    )


async def _lift_holds(db: Db, entry: LedgerEntry) -> None:
    """A hold from before the backup had been lifted when this was erased."""
    mine = update(Recording).where(Recording.person_id == entry.person, Recording.held_reason.is_not(None))
    if entry.recordings is not None:
        mine = mine.where(Recording.id.in_(entry.recordings))
    await db.execute(mine.values(held_reason=None, held_until=None, held_words=None))


async def _withdraw_again(db: Db, entry: LedgerEntry) -> None:
    """What was withdrawn is not recorded again, although the backup remembers a consent."""
    kinds = [kind for kind in ConsentKind if set(kinds_withdrawn(kind)) == set(entry.kinds or ())]
    recordings = Recording.id.in_(entry.recordings or ())
    sessions = (await db.scalars(select(Recording.session_id).distinct().where(recordings))).all()
    for session, kind in product(sessions, kinds):
        log_ = select(Consent).where(Consent.participant_id == entry.person, Consent.session_id == session)
        last = (await db.scalars(log_.where(Consent.kind == kind).order_by(Consent.number.desc()).limit(1))).first()
        if last is not None and last.given and last.at < entry.asked_at:
            db.add(
                Consent(
                    account_id=entry.account,
                    participant_id=entry.person,
                    session_id=session,
                    kind=kind,
                    given=False,
                    text_version=last.text_version,
                    text_hash=last.text_hash,
                    language=last.language,
                )
            )
