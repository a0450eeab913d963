"""The job behind an erasure: asked for anew as often as it is needed, waiting at most once."""

from __future__ import annotations

from datetime import datetime

from app.database import Db
from app.jobs import enqueue
from app.privacy.records.models import Erasure


async def enqueue_erasure(db: Db, erasure: Erasure, *, run_at: datetime | None = None) -> bool:
    """False when its job waits already. The instruction behind it stands in the erasure's own row."""
    key = f"erase-{erasure.id}"
    instruction = f"erasure:{erasure.id}"
    return await enqueue(
        db,
        "erase",
        instruction=instruction,
        key=key,
        run_at=run_at,
        account_id=erasure.account_id,
        erasure_id=erasure.id,
    )
