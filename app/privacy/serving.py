"""One database at a time is served with these keys and these objects.

A copy of the database that is started beside the running one would erase by its own dates what the other still keeps,
and serve what the other has erased. So the database that is served says so every half minute, with a number that grows,
in two places that a copy shares: beside the ledger, and in the object store.

    {keys}/ledger/serving.json        {"number": n, "place": cluster/database, "at": time, "ledger": id, "size": bytes}
    serving/{n:015d}                  the same, in the object store; what is older is removed

The database knows its number too (LedgerMark.serving): a copy, also of the whole machine, falls behind within half a
minute. Whoever finds that another one is served does not start, and ends if it runs; when nobody has said so for a
while, it is taken over. How far the ledger had got is said too, so that one that was put back from an older copy of
the key folder does not pass for whole.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from sqlalchemy import text, update
from sqlalchemy.exc import SQLAlchemyError

from app.database import Database, Db
from app.decisions import ALLOWED, Decision, refused
from app.errors import JunierError
from app.ledger import ledger_of
from app.privacy.records.models import LedgerMark
from app.wiring import Wiring
from recordings.storage.layout import SERVING
from recordings.storage.store import ObjectExists, ObjectMissing, ObjectStore, StoreError

EVERY = timedelta(seconds=30)
RUNS_OUT = timedelta(seconds=90)
"""Three were missed: that database is served no more."""

log = logging.getLogger("junier.serving")


class ServedElsewhere(JunierError):
    """Another database is being served with these keys or these objects: is this a copy of it?"""


class LedgerBehind(JunierError):
    """The ledger of erasures is shorter than it was when a database was last served with these objects: it was put back
    from an older copy of the key folder. What was erased since may be readable again, so nothing is served. Put back
    the newest folder of the key store."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A database is served. place: which one, by cluster and number; ledger, size: how far its ledger had got."""

    number: int
    place: str
    at: datetime
    ledger: str = ""
    size: int = 0

    def to_json(self) -> bytes:
        return json.dumps(asdict(self) | {"at": self.at.isoformat()}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Claim | None:
        try:
            said = json.loads(content)
            return cls(
                number=int(said["number"]),
                place=str(said["place"]),
                at=datetime.fromisoformat(said["at"]),
                ledger=str(said["ledger"]),
                size=int(said["size"]),
            )
        except (ValueError, KeyError, TypeError):
            return None  # torn or changed: the next one replaces it


def may_serve(known: Sequence[Claim], found: Claim | None, now: datetime) -> Decision:
    """known: the database that asks, and the ones it takes the place of, each as far as it knows itself."""
    if found is None or found.at + RUNS_OUT <= now:
        return ALLOWED
    if any(found.place == one.place and found.number <= one.number for one in known):
        return ALLOWED
    until = found.at + RUNS_OUT
    return refused(
        f"Another database is being served with these keys or these objects; it said so at {found.at:%H:%M:%S} UTC. "
        "A copy for trying things out needs keys and a bucket of its own. If the other one has ended and this one "
        f"takes its place, try again after {until:%H:%M:%S} UTC."
    )


class Place(Protocol):
    """Where it is said."""

    def newest(self) -> Claim | None: ...

    def say(self, claim: Claim) -> bool:
        """False: another one said it first."""


@dataclass(frozen=True)
class FolderPlace:
    """Beside the ledger."""

    path: Path

    def newest(self) -> Claim | None:
        return Claim.from_json(self.path.read_bytes()) if self.path.exists() else None

    def say(self, claim: Claim) -> bool:
        with self._locked():
            found = self.newest()
            if found is not None and found.number >= claim.number:
                return found.place == claim.place
            part = self.path.with_suffix(".part")
            part.write_bytes(claim.to_json())
            part.rename(self.path)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class StorePlace:
    """In the object store, where a key is written once: of two that take the same number one is refused."""

    store: ObjectStore

    def newest(self) -> Claim | None:
        keys = sorted(thing.key for thing in self.store.list(SERVING))
        try:
            return Claim.from_json(self.store.get(keys[-1])) if keys else None
        except ObjectMissing:
            return None  # replaced since

    def say(self, claim: Claim) -> bool:
        key = f"{SERVING}{claim.number:015d}"
        try:
            self.store.put(key, claim.to_json())
        except ObjectExists:
            return False
        self.store.delete([thing for thing in self.store.remains(SERVING) if thing.key < key])
        return True


async def claim(wiring: Wiring, *, instead_of: Claim | None = None) -> None:
    """From now on the database of this wiring is the one that is served. For every process before it serves, and then
    every half minute; safe beside others of the same database. instead_of: it takes the place of this one.
    Raises ServedElsewhere, LedgerBehind."""
    places, ledger = _places(wiring), ledger_of(wiring.settings)
    of, size = str(await asyncio.to_thread(ledger.identity)), await asyncio.to_thread(ledger.file.sure_size)
    async with wiring.database.transaction() as db:
        mine = await known_claim(db, lock=True)
        now = datetime.now(UTC)
        found = [one for one in [await asyncio.to_thread(_newest, place) for place in places] if one]
        for one in found:
            decision = may_serve([mine, *([instead_of] if instead_of else [])], one, now)
            if not decision:
                raise ServedElsewhere(decision.reason)
            if one.ledger == of and one.size > size:
                raise LedgerBehind
        if len(found) == len(places) and all(one.place == mine.place and now < one.at + EVERY / 2 for one in found):
            return  # another process of the same database has just said it
        number = max([mine.number, *(one.number for one in found)]) + 1
        await db.execute(update(LedgerMark).values(serving=number))
    said = Claim(number=number, place=mine.place, at=now, ledger=of, size=size)
    if not all([await asyncio.to_thread(_say, place, said) for place in places]):
        raise ServedElsewhere


async def known_claim(db: Db, *, lock: bool = False) -> Claim:
    """What the database of this transaction knows of itself."""
    asked = text(
        "SELECT system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())"
        " FROM pg_control_system()"
    )
    place: str = (await db.execute(asked)).scalar_one()
    mark = await db.get(LedgerMark, 1, with_for_update=lock, populate_existing=True)
    return Claim(number=mark.serving if mark else 0, place=place, at=datetime.now(UTC))


async def claim_of(url: str) -> Claim:
    """Of a database that is not served at this moment."""
    database = Database(url)
    try:
        async with database.transaction() as db:
            return await known_claim(db)
    finally:
        await database.close()


def _places(wiring: Wiring) -> Sequence[Place]:
    return [FolderPlace(wiring.settings.keys_folder / "ledger" / "serving.json"), StorePlace(wiring.store)]


def _newest(place: Place) -> Claim | None:
    """A store that cannot be reached says nothing, and nothing can be erased there; it is asked again soon."""
    try:
        return place.newest()
    except StoreError as error:
        log.warning("the object store does not say who is served: %s", type(error).__name__)
        return None


def _say(place: Place, said: Claim) -> bool:
    try:
        return place.say(said)
    except StoreError as error:
        log.warning("the object store was not told who is served: %s", type(error).__name__)
        return True


async def go_on(wiring: Wiring) -> None:
    """Beside every process that serves or works: when another database has taken over, the process ends."""
    while True:
        await asyncio.sleep(EVERY.total_seconds())
        try:
            await claim(wiring)
        except (LedgerBehind, ServedElsewhere) as error:
            log.error("this process ends: %s", type(error).__name__)
            os.kill(os.getpid(), signal.SIGTERM)
        except (OSError, SQLAlchemyError) as error:
            log.warning("could not say that this database is served: %s", type(error).__name__)
