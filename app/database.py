"""Engine, transactions and the declarative Base. One transaction per request or job; the account is
set per transaction and PostgreSQL's row-level security does the rest. What must survive the restore of a backup is
written to the ledger as the last thing before COMMIT."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from select import POLLIN, poll
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from psycopg import Error as PsycopgError
from sqlalchemy import DateTime, LargeBinary, Uuid, engine, event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from app.ledger import Ledger
from app.ledger_entries import Entry
from recordings.model import AccountId

Db = AsyncSession
"""A database session: never called `session`, that word is the research session."""
Columns = engine.Row[*tuple[Any, ...]]
"""Values by the names of their columns, where a page needs some of a row and building the whole object costs more."""
ASK_AFTER_S = 30.0
"""A connection that was not used for longer is asked whether it still stands."""
PLANS = "-c plan_cache_mode=force_custom_plan"
"""Row-level security makes the account part of every plan, and connections serve all accounts: a plan that is kept
from a small account reads a large one from end to end."""

log = logging.getLogger("junier.database")


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), bytes: LargeBinary, UUID: Uuid}


class Row(Base):
    """A row of an account: its own id, and the account every policy looks at."""

    __abstract__ = True
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    account_id: Mapped[UUID] = mapped_column(index=True)


class Database:
    """The application's connections, as role junier_app."""

    def __init__(self, url: str, ledger: Ledger | None = None) -> None:
        """ledger: of the installation; app.wiring sets it. Without one nothing can be done that must be noted there."""
        self.url, self.ledger = url, ledger
        self.engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=10,
            max_overflow=10,
            pool_use_lifo=True,  # the connection used last has its statements prepared and its caches warm
            connect_args={"options": f"-c search_path=public,jobs -c timezone=UTC {PLANS}"},
        )
        ping = self.engine.dialect.do_ping

        @event.listens_for(self.engine.sync_engine, "checkout")
        def require_open(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
            _require_open(connection, record, ping)

        self._make = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self, account: AccountId | None = None) -> AsyncIterator[Db]:
        """A transaction: returning commits, raising rolls back."""
        async with self._make() as db:
            said = db.info["said"] = _Said(ledger=self.ledger)
            try:
                async with db.begin():
                    if account is not None:
                        await set_account(db, account)
                    yield db
            except Exception as error:
                if not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    await said.close(done=False)
                raise

    async def close(self) -> None:
        await self.engine.dispose()


@dataclass(kw_only=True)
class _Said:
    """What the ledger gets from one transaction. A connection that was lost in COMMIT leaves open how it ended, and so
    does a crash (app.ledger.counts)."""

    ledger: Ledger | None
    entries: list[Entry] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # their checksums, once they are written

    async def write(self) -> None:
        if self.entries and not self.lines and self.ledger is not None:
            self.lines = (await asyncio.to_thread(self.ledger.append, *self.entries))[-len(self.entries) :]

    async def close(self, *, done: bool) -> None:
        if self.lines and self.ledger is not None and (not done or any(entry.gives for entry in self.entries)):
            try:
                await asyncio.to_thread(self.ledger.close, self.lines, done=done)
            except OSError as error:
                log.warning("the ledger does not know how a transaction ended: %s", type(error).__name__)
        self.entries, self.lines = [], []


def note(db: Db, entry: Entry) -> None:
    """Say to the ledger what this transaction does, if it does it: written after everything else, right before COMMIT.
    Called with the row locked that it is about, so that the ledger's last word on it is the last one."""
    said: _Said = db.info["said"]
    assert said.ledger is not None, "this database has no ledger"
    assert not db.in_nested_transaction(), "a savepoint may be rolled back"
    said.entries.append(entry)


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    said: _Said | None = session.info.get("said")
    if said is not None and said.entries and not session.in_nested_transaction():
        session.flush()
        await_only(said.write())


@event.listens_for(Session, "after_commit")
def _close(session: Session) -> None:
    said: _Said | None = session.info.get("said")
    if said is not None and said.lines:
        await_only(said.close(done=True))


def _require_open(connection: Any, record: ConnectionPoolEntry, ping: Callable[[Any], bool]) -> None:
    """What pool_pre_ping does, without a question to the server before every transaction: a server that ended said so
    on the socket, where nothing else may wait. One that fell silent said nothing, so what rested for a while asks.
    Raises InvalidatePoolError, after which the pool connects anew."""
    now, used_at = monotonic(), record.info.get("used_at")
    record.info["used_at"] = now
    waiting = poll()
    try:
        waiting.register(connection.driver_connection.pgconn.socket, POLLIN)
        if waiting.poll(0):
            raise InvalidatePoolError
        if used_at is not None and now - used_at > ASK_AFTER_S:
            ping(connection)
    except PsycopgError as error:
        raise InvalidatePoolError from error


_SET_ACCOUNT = text("SELECT set_config('junier.account_id', :account, true), set_config('junier.reader', '', true)")


async def set_account(db: Db, account: AccountId | UUID) -> None:
    """From here to the end of the transaction only this account's rows exist, and all of them: what a login sees less
    (junier.reader) does not count for the secret link that led here."""
    await db.execute(_SET_ACCOUNT, {"account": str(account)})


async def set_reader(db: Db, member: UUID | None) -> None:
    """From here to the end of the transaction only sessions this member sees exist; None: all of the account."""
    await db.execute(text("SELECT set_config('junier.reader', :reader, true)"), {"reader": str(member or "")})


async def now_in(db: Db) -> datetime:
    """The database's clock is the one truth for deadlines (start of the transaction). Asked once in each."""
    root, moment = db.info.get("now", (None, None))
    if moment is None or root is not db.sync_session.get_transaction():
        moment = (await db.execute(text("SELECT now()"))).scalar_one()
        remember_now(db, moment)
    found: datetime = moment
    return found


def remember_now(db: Db, now: datetime) -> None:
    """now: as a statement of this very transaction has told it."""
    db.info["now"] = db.sync_session.get_transaction(), now


async def door(db: Db, function: str, **arguments: Any) -> Any:
    """Call a SECURITY DEFINER function for what must be found before the account is known; first row or None."""
    names = ", ".join(f"{name} => :{name}" for name in arguments)
    return (await db.execute(text(f"SELECT * FROM {function}({names})"), arguments)).first()


def sqlalchemy_url(url: str) -> str:
    """postgresql://… on psycopg 3."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1).replace("postgres://", "postgresql+psycopg://", 1)
