"""How often somebody may ask, counted in PostgreSQL so that it holds over all web processes together.

One moment per limit and asker says when everything they asked for will have leaked away again (a leaky bucket
as the generic cell rate algorithm, ITU-T I.371 Annex A): no windows, so nothing doubles at their edges. The table
is unlogged, holds keyed hashes only, and forgets by itself. What is limited how: limited_routes.py.
"""

from __future__ import annotations

import hmac
import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Any

from litestar.connection import ASGIConnection
from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Db
from app.errors import TooManyTries
from app.sealed_columns import SealedColumns

KEY_ITEM = "limits"
SWEEP_ONE_IN = 500  # askings


class Rate(Base):
    """Until when the askings of one kind by one asker count. Belongs to the platform."""

    __tablename__ = "rate"
    key: Mapped[bytes] = mapped_column(primary_key=True)
    leaked_at: Mapped[datetime]
    __table_args__ = {"prefixes": ["UNLOGGED"]}


class Limited(TooManyTries):
    """Too many requests in a short time."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """`times` at once, and again as many in each `per`."""

    name: str
    times: int
    per: timedelta

    @property
    def step(self) -> timedelta:
        return self.per // self.times


async def spend(db: Db, columns: SealedColumns, limit: Limit, asker: str, *, times: int = 1) -> None:
    """Count `times` askings in this transaction. Raises Limited, and then counts nothing."""
    key = hmac.new(columns.platform_key(KEY_ITEM), f"{limit.name}\0{asker}".encode(), sha256).digest()
    values = {"key": key, "step": limit.step * times, "per": limit.per}
    if (await db.execute(_SPEND, values)).first() is None:
        wait: float = (await db.execute(_WAIT, values)).scalar() or limit.per.total_seconds()
        raise Limited(f"{Limited.__doc__} Please try again in {_words(wait)}.", retry_after_s=max(1, math.ceil(wait)))
    if secrets.randbelow(SWEEP_ONE_IN) == 0:
        await db.execute(text("DELETE FROM rate WHERE leaked_at < clock_timestamp()"))


def client_address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Who asks, as the network shows it: the one place that knows. Behind JUNIER_TRUSTED_PROXIES the web server
    has put the address those proxies saw here; what anybody else claims in X-Forwarded-For never gets so
    far (app.__main__). IPv6 counts by /64, which one household or machine has for itself (RFC 6177 §2)."""
    host = connection.client.host if connection.client else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")
    return str(address)


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} seconds"
    return f"{math.ceil(seconds / 60)} minutes"


_SPEND = text(
    "INSERT INTO rate AS old (key, leaked_at) SELECT CAST(:key AS bytea), clock_timestamp() + CAST(:step AS interval) "
    "WHERE CAST(:step AS interval) <= CAST(:per AS interval) "
    "ON CONFLICT (key) DO UPDATE SET leaked_at = greatest(old.leaked_at, clock_timestamp()) + CAST(:step AS interval) "
    "WHERE greatest(old.leaked_at, clock_timestamp()) + CAST(:step AS interval) "
    "<= clock_timestamp() + CAST(:per AS interval) RETURNING 1"
)
_WAIT = text(
    "SELECT CAST(extract(epoch FROM leaked_at + CAST(:step AS interval) - CAST(:per AS interval) - clock_timestamp()) "
    "AS float8) FROM rate WHERE key = :key"
)
