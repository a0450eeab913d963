"""What a copy that leaves this platform is for: whoever downloads says so, and the audit log keeps it.

One of a few purposes, never free words: the log holds ids and names of kinds only, and what a person types about
others would outlive their erasure there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from litestar.params import Parameter

from app.errors import BadInput
from app.language import N_


class DownloadPurpose(StrEnum):
    ANALYSIS = "analysis"
    REPORT = "report"
    QUALITY = "quality"
    REQUEST = "request"
    LEGAL = "legal"


PURPOSE_WORDS = {
    DownloadPurpose.ANALYSIS: N_("to analyse it in the study's own tools"),
    DownloadPurpose.REPORT: N_("to show it to the team in a report"),
    DownloadPurpose.QUALITY: N_("to check its quality"),
    DownloadPurpose.REQUEST: N_("to answer a participant's request"),
    DownloadPurpose.LEGAL: N_("for a legal duty or claim"),
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
