"""A few connections of one process to the database of the keys, kept open between calls."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from recordings.encryption.keystore import KeyStoreError, KeyStoreUnavailable

KEPT_IDLE = 4
CONNECT_LIMIT_S = 5
OPTIONS = "-c statement_timeout=30s -c lock_timeout=20s -c synchronous_commit=on -c client_min_messages=error"

Connection = psycopg.Connection[tuple[Any, ...]]


class Connections:
    """Safe to use from several threads. Whatever the server says becomes an error of the port, without its values."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def read(self, query: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """What one statement sees, at one moment; asked once more, anew, when the connection was cut under way."""
        with told():
            try:
                with self._borrowed() as connection:
                    return connection.execute(query.encode(), values).fetchall()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not _cut(error):
                    raise
            with self._borrowed(anew=True) as connection:
                return connection.execute(query.encode(), values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Committed, and on the server's disk, when it ends without an error."""
        with told(), self._borrowed() as connection, connection.transaction():
            yield connection

    @contextmanager
    def alone(self, number: int) -> Iterator[None]:
        """Of all processes one at a time; however long the other takes."""
        with told():
            with self._connect() as connection:
                connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")
                connection.execute("SELECT pg_advisory_lock(%s)", [number])
                yield

    def _connect(self) -> Connection:
        try:
            return psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_LIMIT_S,
                options=OPTIONS,
                tcp_user_timeout=10_000,
                application_name="junier keys",
            )
        except psycopg.Error:
            raise KeyStoreUnavailable("The database of KEYS_DATABASE_URL cannot be reached.") from None

    @contextmanager
    def _borrowed(self, *, anew: bool = False) -> Iterator[Connection]:
        """One that the server has not closed meanwhile; it comes back unless something went wrong."""
        connection = (None if anew else self._idle_one()) or self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < KEPT_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _idle_one(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _hung_up(connection):
                return connection
            connection.close()


def _hung_up(connection: Connection) -> bool:
    """An idle server says nothing: what can be read is the end of the connection, or word that it comes."""
    looking = select.poll()
    looking.register(connection.fileno(), select.POLLIN)
    return bool(looking.poll(0))


def _cut(error: psycopg.Error) -> bool:
    """Whether the connection ended, rather than the statement (class 57P, PostgreSQL Appendix A)."""
    return error.sqlstate is None or error.sqlstate.startswith("57P")


@contextmanager
def told() -> Iterator[None]:
    """Turn what the server says into an error of the port. Its own words may quote what we sent: they stay out."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise KeyStoreUnavailable(f"The database of the keys says {type(error).__name__}.") from None
    except psycopg.Error as error:
        raise KeyStoreError(f"The database of the keys says {type(error).__name__}.") from None
