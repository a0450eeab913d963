"""What a copy that leaves this platform is for, and which purpose it serves (app.legal_basis): whoever downloads says
so, and the audit log keeps it. And which purpose each reason of a hold serves.

One of a few purposes, never free words: the log holds ids and names of kinds only, and what a person types about
others would outlive their erasure there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from litestar.params import Parameter

from app.errors import BadInput
from app.language import N_
from app.legal_basis import Purpose
from app.sessions.models import HoldReason


class DownloadPurpose(StrEnum):
    ANALYSIS = "analysis"
    REPORT = "report"
    QUALITY = "quality"
    REQUEST = "request"
    COMPLAINT = "complaint"
    LEGAL = "legal"
    DUTY = "duty"
    EMERGENCY = "emergency"


PURPOSE_WORDS = {
    DownloadPurpose.ANALYSIS: N_("to analyse it in the study's own tools"),
    DownloadPurpose.REPORT: N_("to show it to the team in a report"),
    DownloadPurpose.QUALITY: N_("to check its quality"),
    DownloadPurpose.REQUEST: N_("to answer a participant's request"),
    DownloadPurpose.COMPLAINT: N_("to look into a complaint"),
    DownloadPurpose.LEGAL: N_("for a legal claim"),
    DownloadPurpose.DUTY: N_("because a law or an authority asks for it"),
    DownloadPurpose.EMERGENCY: N_("because somebody's life or health is in danger"),
}
DOWNLOADED_FOR = {
    DownloadPurpose.ANALYSIS: Purpose.RESEARCH,
    DownloadPurpose.REPORT: Purpose.RESEARCH,
    DownloadPurpose.QUALITY: Purpose.RESEARCH,
    DownloadPurpose.REQUEST: Purpose.RIGHTS,
    DownloadPurpose.COMPLAINT: Purpose.COMPLAINTS,
    DownloadPurpose.LEGAL: Purpose.CLAIMS,
    DownloadPurpose.DUTY: Purpose.DUTIES,
    DownloadPurpose.EMERGENCY: Purpose.EMERGENCY,
}
HELD_FOR = {
    HoldReason.CLAIM: Purpose.CLAIMS,
    HoldReason.COMPLAINT: Purpose.COMPLAINTS,
    HoldReason.AUTHORITY: Purpose.DUTIES,
    HoldReason.DUTY: Purpose.DUTIES,
}

Asked = Annotated[str | None, Parameter(query="purpose")]
"""?purpose=… as it was sent."""


class PurposeMissing(BadInput):
    """Please say first what the copy is for: choose one of the purposes on the page with the download."""


def read_purpose(said: str | None) -> DownloadPurpose:
    """Raises PurposeMissing for none and for an unknown one."""
    try:
        return DownloadPurpose(said or "")
    except ValueError:
        raise PurposeMissing from None
