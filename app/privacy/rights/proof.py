"""Whether it was really they who asked: a request that a member wrote down gives nothing out, and changes nothing that
says who they are, before the participant confirms it under My data, behind the code mailed to the registered address
(GDPR Art. 12(6); EDPB Guidelines 01/2022 §§ 58-79).

What protects them (erasing, restricting, objecting, taking back) waits for nobody.
"""

from __future__ import annotations

from datetime import datetime

from app.decisions import ALLOWED, Decision, refused
from app.privacy.records.models import DataRequest, RequestKind, RequestState

PROVEN_FIRST = frozenset({RequestKind.ACCESS, RequestKind.RECTIFICATION})
"""They give data out, or change who somebody is."""


def waits_for_proof(kind: RequestKind, state: RequestState, *, way: str | None, confirmed_at: datetime | None) -> bool:
    """Does it wait for the participant's own word that it is theirs?"""
    return kind in PROVEN_FIRST and state is RequestState.OPEN and way is not None and confirmed_at is None


def may_carry_out(waits: bool) -> Decision:
    """May what was asked for be done now? Refusing it with a reason needs no proof."""
    if waits:
        return refused(
            "Somebody else may have asked in their name. This waits until they confirm it by the link that was mailed "
            "to their registered address."
        )
    return ALLOWED


def unproven(row: DataRequest) -> bool:
    return waits_for_proof(RequestKind(row.kind), RequestState(row.state), way=row.way, confirmed_at=row.confirmed_at)
