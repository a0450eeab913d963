"""Orphans: objects that no row knows of, and rows whose objects are not there.

They come from what goes wrong around us: a database restored from a backup, a machine that died in the wrong moment, a
bucket that somebody else cleaned. Nothing follows from one look: what stands alone is noted, and only what has done so
for SAFE_AGE is acted upon. Objects without a row have no date and no way out, so they are erased with their key, as the
one way of erasing does it. A row without its objects tells so to whoever reads it, until they are there again. What
belongs to an account that this database does not know may be another installation's: it is told and never touched.

Where most of what an account has seems to stand alone, it is rather the rows that are wrong (a backup far too old, a
database that shows too little): then nothing goes by itself any more, and an operator says what is right.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.audit import SYSTEM, Action, record
from app.privacy.erasing.standing import ELSEWHERE, Standing, lying, standing
from app.privacy.records.models import Orphan
from app.sessions.models import Recording, RecordingState, Transcript, TranscriptState
from app.sessions.words import FILE_MISSING
from app.wiring import Wiring
from recordings.encryption.keystore import KeyDestroyed, KeyPath, KeyStoreError
from recordings.erase import erase
from recordings.model import AccountId
from recordings.storage.layout import root_key_path

SAFE_AGE = timedelta(days=1)
AT_ONCE = 500
EVERY = timedelta(hours=4)
"""As workers.__main__ looks."""
MANY = 20
"""Roots; a recording has about four."""

log = logging.getLogger("junier.privacy")


class Kind(StrEnum):
    OBJECTS = "objects without a row"
    ROW = "row without its objects"
    FOREIGN = "objects of an unknown account"
    TOO_MANY = "objects without a row, too many to go by themselves"


@dataclass(frozen=True, kw_only=True)
class Alone:
    """One that stands alone. place: a prefix of object keys; things, bytes: what lies there; since: when it was seen
    first, None by this look."""

    place: str
    kind: Kind
    things: int = 0
    bytes: int = 0
    since: datetime | None = None

    @property
    def account(self) -> AccountId:
        return AccountId(UUID(_account(self.place)))


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at everything. rows: of each account; readable: roots of which something can be got; roots: how many
    each account has."""

    alone: tuple[Alone, ...]
    rows: dict[AccountId, Standing]
    readable: frozenset[str]
    roots: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """erased: roots that are gone and were seen to be; kept: those that could not be; missed, found: recordings and
    transcripts that say from now on, or no longer, that their file is missing; waiting: roots that go when somebody
    says so."""

    erased: int = 0
    kept: int = 0
    missed: int = 0
    found: int = 0
    waiting: int = 0


def implausible(alone: int, there: int) -> bool:
    """Do so many of an account's roots seem to stand alone that its rows are rather wrong?"""
    return alone > MANY and 2 * alone > there


def at_turn(places: Sequence[Alone], now: datetime) -> Sequence[Alone]:
    """AT_ONCE of them, the following ones at the next look: what cannot be erased holds up nothing behind it."""
    if len(places) <= AT_ONCE:
        return places
    first = int(now.timestamp() // EVERY.total_seconds()) * AT_ONCE % len(places)
    return [*places[first:], *places[:first]][:AT_ONCE]


async def look(wiring: Wiring, now: datetime) -> Look:
    """Changes nothing. Raises StoreError and NotShown: then nothing is known."""
    there = await asyncio.to_thread(lying, wiring.store)  # first: a row is always there before its objects
    async with wiring.database.transaction() as db:
        accounts = [AccountId(one) for one in await db.scalars(text("SELECT account_id FROM audit_heads()"))]
        noted = (await db.scalars(select(Orphan))).all()
    since = {row.place: row.seen_at for row in noted}
    waits = {row.place for row in noted if row.kind == Kind.TOO_MANY}
    rows = {account: await standing(wiring.database, account, now - SAFE_AGE) for account in accounts}
    readable = frozenset(root for root, one in there.items() if one.readable)
    by_name = {str(account): of for account, of in rows.items()}
    alone = [
        Alone(place=root, kind=kind, things=one.things, bytes=one.bytes, since=since.get(root))
        for root, one in sorted(there.items())
        if (kind := _kind(root, by_name)) is not None
    ]
    alone = [replace(one, kind=Kind.TOO_MANY) if _waits(one, waits) else one for one in alone]
    needed = {root for of in rows.values() for _, roots in _needs(of) for root in roots}
    alone += [Alone(place=root, kind=Kind.ROW, since=since.get(root)) for root in sorted(needed - readable)]
    return Look(alone=tuple(alone), rows=rows, readable=readable, roots=Counter(map(_account, there)))


def _waits(one: Alone, waits: Collection[str]) -> bool:
    """What was once among too many goes no more by itself, also when others went or more came."""
    return one.kind is Kind.OBJECTS and one.place in waits


def _account(root: str) -> str:
    return root.partition("/")[0]


def _kind(root: str, rows: dict[str, Standing]) -> Kind | None:
    """None: a row knows it."""
    of = rows.get(_account(root))
    if root.startswith(ELSEWHERE) or of is None:
        return Kind.FOREIGN
    return None if of.knows(root) else Kind.OBJECTS


async def reap(wiring: Wiring, now: datetime, *, even_many: bool = False) -> Reaped:
    """Look, note, and act upon what has stood alone for long enough. Safe to run twice and beside itself.
    even_many: an operator says that the rows are right."""
    seen = await look(wiring, now)
    alone = seen.alone if even_many else _braked(seen)
    await _note(wiring, alone, now)
    due = [one for one in alone if one.since is not None and one.since <= now - SAFE_AGE]
    for one in due:
        log.warning("%s since %s: %s", one.kind, one.since, one.place)
    by_account: dict[AccountId, list[Alone]] = defaultdict(list)
    goes = {Kind.OBJECTS, Kind.TOO_MANY} if even_many else {Kind.OBJECTS}
    going = [one for one in due if one.kind in goes]
    for one in going if even_many else at_turn(going, now):
        by_account[one.account].append(one)
    erased = kept = missed = found = 0
    for account, objects in by_account.items():
        gone = await _erase(wiring, account, objects, now)
        erased, kept = erased + gone, kept + len(objects) - gone
    gone_for_long = frozenset(one.place for one in due if one.kind is Kind.ROW)
    for account, of in seen.rows.items():
        lacking = [one for one, roots in _needs(of) if roots & gone_for_long and one not in of.missed]
        back = [one for one, roots in _needs(of) if roots <= seen.readable and one in of.missed]
        missed += await _tell(wiring, account, lacking, missing=True)
        found += await _tell(wiring, account, back, missing=False)
    waiting = 0 if even_many else sum(one.kind is Kind.TOO_MANY for one in alone)
    return Reaped(erased=erased, kept=kept, missed=missed, found=found, waiting=waiting)


def _braked(seen: Look) -> Sequence[Alone]:
    """With TOO_MANY instead of OBJECTS for accounts whose rows are rather wrong; for all when all together are."""
    alone = Counter(_account(one.place) for one in seen.alone if one.kind in (Kind.OBJECTS, Kind.TOO_MANY))
    everywhere = implausible(alone.total(), sum(seen.roots[account] for account in map(str, seen.rows)))
    wrong = {account for account, count in alone.items() if everywhere or implausible(count, seen.roots[account])}
    for account in sorted(wrong):
        log.error(
            "account %s: of %s places too many have no row, so none is erased; see: junier erasure orphans",
            account,
            round(seen.roots[account]),
        )
    return [
        replace(one, kind=Kind.TOO_MANY) if one.kind is Kind.OBJECTS and _account(one.place) in wrong else one
        for one in seen.alone
    ]


def _needs(of: Standing) -> list[tuple[UUID, frozenset[str]]]:
    return [*of.recordings.items(), *of.transcripts.items()]


async def _note(wiring: Wiring, alone: Sequence[Alone], now: datetime) -> None:
    """Since when; what does not stand alone any more is forgotten, so that it begins anew."""
    places = {one.place: one.kind for one in alone}
    async with wiring.database.transaction() as db:
        known = set(await db.scalars(select(Orphan.place)))
        await db.execute(delete(Orphan).where(Orphan.place.in_(known - places.keys())))
        for place in sorted(places.keys() - known):
            row = insert(Orphan).values(place=place, kind=places[place], seen_at=now)
            await db.execute(row.on_conflict_do_nothing(index_elements=[Orphan.place]))
        waits = [place for place, kind in places.items() if kind is Kind.TOO_MANY]
        await db.execute(update(Orphan).where(Orphan.place.in_(waits)).values(kind=Kind.TOO_MANY))


async def _erase(wiring: Wiring, account: AccountId, objects: Iterable[Alone], now: datetime) -> int:
    """Those that still stand alone, with their keys; returns how many are seen to be gone."""
    rows = await standing(wiring.database, account, now)
    gone: list[Alone] = []
    try:
        await asyncio.to_thread(wiring.keys.unwrap, KeyPath(account))
    except KeyDestroyed:  # the account is closed, and everything beneath it
        pass
    except KeyStoreError as error:  # a store that never had it says of every other key, too, that it is gone
        why = type(error).__name__
        log.error("the key store does not know an account, so nothing of it is erased: %s: %s", account, why)
        return 0
    for one in objects:
        if rows.knows(one.place):
            continue
        done = await asyncio.to_thread(erase, wiring.store, wiring.keys, root_key_path(one.place), (one.place,))
        if done.verified:
            gone.append(one)
        else:
            reasons = "; ".join(done.reasons)
            log.error("could not be erased: %s: %s", one.place, reasons)
    if gone:
        things, size = sum(one.things for one in gone), sum(one.bytes for one in gone)
        async with wiring.database.transaction(account) as db:
            await db.execute(delete(Orphan).where(Orphan.place.in_([one.place for one in gone])))
            await record(
                db,
                account=account,
                actor=SYSTEM,
                action=Action.ORPHANS_ERASED,
                subject=f"account:{account}",
                facts={"places": len(gone), "things": things, "bytes": size},
            )
    return len(gone)


async def _tell(wiring: Wiring, account: AccountId, ids: Sequence[UUID], *, missing: bool) -> int:
    """Say of recordings and transcripts that their file is missing, or is there again."""
    if not ids:
        return 0
    changed = 0
    async with wiring.database.transaction(account) as db:
        for row, ready, failed in (
            (Recording, RecordingState.STORED, RecordingState.FAILED),
            (Transcript, TranscriptState.READY, TranscriptState.FAILED),
        ):
            before, after = (ready, failed) if missing else (failed, ready)
            mine = update(row).where(row.id.in_(ids), row.state == before)
            if not missing:
                mine = mine.where(row.failure_reason == FILE_MISSING)
            told = mine.values(state=after, failure_reason=FILE_MISSING if missing else None).returning(row.id)
            for one in (await db.scalars(told)).all():
                changed += 1
                action = Action.FILE_MISSED if missing else Action.FILE_FOUND
                subject = f"{row.__tablename__}:{one}"
                await record(db, account=account, actor=SYSTEM, action=action, subject=subject)
    return changed
