"""An erasure as the ledger is told it, and the row that a restored database gets of what it was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.ledger_entries import Erased
from app.privacy.records.models import Erasure, ErasureState


def line_of(event: type[Erased], erasure: Erasure, at: datetime, **more: Any) -> Erased:
    """more: what only this kind of line says."""
    return event(
        at=at,
        erasure=erasure.id,
        account=erasure.account_id,
        person=erasure.person_id,
        recordings=erasure.recording_ids,
        responses=erasure.response_ids,
        kinds=erasure.track_kinds,
        notes=erasure.note_sessions,
        reason=erasure.reason,
        asked_by=erasure.asked_by,
        asked_at=erasure.asked_at,
        instruction=erasure.instruction,
        receipt=erasure.receipt,
        **more,
    )


def row_of(line: Erased) -> Erasure:
    """As it was asked, and not tried yet."""
    return Erasure(
        id=line.erasure,
        account_id=line.account,
        reason=line.reason,
        person_id=line.person,
        recording_ids=line.recordings,
        response_ids=line.responses,
        track_kinds=line.kinds,
        note_sessions=line.notes,
        asked_by=line.asked_by,
        instruction=line.instruction,
        state=ErasureState.ASKED,
        asked_at=line.asked_at,
        receipt=line.receipt,
        tries=0,
        found={},
    )
