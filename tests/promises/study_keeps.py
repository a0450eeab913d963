"""How long a study keeps, and what stays of its answers, as its owner said last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.privacy.keeping.keeping import Change, keep
from app.studies.clocks import IDLE
from tests.fixtures.web import Cast

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


async def keeps(cast: Cast, days: int | None, *, idle: int | None = None, ending: str | None = None) -> None:
    async with cast.wiring.database.transaction(cast.account) as db:
        periods = {} if idle is None else {IDLE: idle}
        change = Change(days=days, study=cast.study, periods=periods, ending=ending)
        await keep(db, change, account=cast.account, by="member:x")
