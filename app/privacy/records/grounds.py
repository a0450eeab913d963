"""Reasons the law leaves for refusing a request: each kind has its own short list, and nothing outside it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.language import N_
from app.privacy.records.models import RequestKind
from app.sessions.models import HoldReason


class Ground(StrEnum):
    """Named by its article of the GDPR in WORDS."""

    IDENTITY = "identity"
    UNFOUNDED = "unfounded"
    EXCESSIVE = "excessive"
    RIGHTS_OF_OTHERS = "rights of others"
    CORRECT = "correct"
    SETTLED = "settled"
    PUBLIC_INTEREST = "public interest"
    COMPELLING = "compelling"
    RESEARCH = "research"
    CLAIMS = "claims"
    EXPRESSION = "expression"
    DUTY = "duty"
    HEALTH = "health"
    ARCHIVES = "archives"


WORDS: Mapping[Ground, str] = {
    Ground.IDENTITY: N_("It could not be confirmed that it was you who asked (GDPR Art. 12(2) and (6))."),
    Ground.UNFOUNDED: N_("The request is manifestly unfounded (GDPR Art. 12(5))."),
    Ground.EXCESSIVE: N_("The same was asked for again and again (GDPR Art. 12(5))."),
    Ground.RIGHTS_OF_OTHERS: N_("It would harm the rights of other people (GDPR Art. 15(4) and 20(4))."),
    Ground.CORRECT: N_("What is stored was looked at and is correct and complete (GDPR Art. 16)."),
    Ground.SETTLED: N_("What it was kept for is settled, and none of the cases of GDPR Art. 18(1) applies any more."),
    Ground.PUBLIC_INTEREST: N_(
        "It is needed to protect somebody else's rights, or for an important public interest (GDPR Art. 18(2))."
    ),
    Ground.COMPELLING: N_("There are compelling legitimate grounds that override yours (GDPR Art. 21(1))."),
    Ground.RESEARCH: N_("It is needed for research in the public interest (GDPR Art. 21(6))."),
    Ground.CLAIMS: N_("It is needed to establish, exercise or defend legal claims (GDPR Art. 17(3)(e) and 21(1))."),
    Ground.EXPRESSION: N_("It is needed for freedom of expression and information (GDPR Art. 17(3)(a))."),
    Ground.DUTY: N_("A law or an order obliges to keep it (GDPR Art. 17(3)(b))."),
    Ground.HEALTH: N_("It is needed for public health (GDPR Art. 17(3)(c))."),
    Ground.ARCHIVES: N_("It is needed for archives or research in the public interest (GDPR Art. 17(3)(d))."),
}
"""As the participant reads it."""

_ALWAYS = (Ground.IDENTITY, Ground.UNFOUNDED, Ground.EXCESSIVE)
_GROUNDS: Mapping[RequestKind, tuple[Ground, ...]] = {
    RequestKind.ACCESS: (Ground.RIGHTS_OF_OTHERS, *_ALWAYS),
    RequestKind.RECTIFICATION: (Ground.CORRECT, *_ALWAYS),
    RequestKind.OBJECTION: (Ground.COMPELLING, Ground.CLAIMS, Ground.RESEARCH, *_ALWAYS),
    RequestKind.RESTRICTION: (Ground.SETTLED, Ground.CLAIMS, Ground.PUBLIC_INTEREST),
    RequestKind.ERASURE: (Ground.CLAIMS, Ground.DUTY, Ground.EXPRESSION, Ground.HEALTH, Ground.ARCHIVES),
    RequestKind.WITHDRAWAL: (),  # taking back is never refused (Art. 7(3)); a hold keeps for its own reason
}

OF_HOLDS: Mapping[HoldReason, Ground] = {
    HoldReason.CLAIM: Ground.CLAIMS,
    HoldReason.COMPLAINT: Ground.CLAIMS,
    HoldReason.AUTHORITY: Ground.DUTY,
    HoldReason.DUTY: Ground.DUTY,
}
"""Nothing but a hold stops an erasure that a participant asked for, so these are the reasons it is refused with."""


def grounds_for(kind: RequestKind) -> tuple[Ground, ...]:
    """What a request of this kind may be refused with, or a restriction ended with."""
    return _GROUNDS[kind]
