"""Which part of the product a page belongs to: the one the navigation marks."""

from __future__ import annotations

from enum import StrEnum


class Section(StrEnum):
    """A place of the navigation; its value is the address it leads to."""

    STUDIES = "/"
    SESSIONS = "/sessions"
    RETENTION = "/retention"
    REQUESTS = "/requests"
    ERASURES = "/erasures"
    AUDIT = "/audit"
    MEMBERS = "/members"


_FIRST = {
    "": Section.STUDIES,
    "studies": Section.STUDIES,
    "sessions": Section.SESSIONS,
    "rooms": Section.SESSIONS,
    "recordings": Section.SESSIONS,
    "retention": Section.RETENTION,
    "holds": Section.RETENTION,
    "requests": Section.REQUESTS,
    "disclosures": Section.REQUESTS,
    "erasures": Section.ERASURES,
    "audit": Section.AUDIT,
    "support-access": Section.AUDIT,
    "members": Section.MEMBERS,
    "account": Section.MEMBERS,
}


def section_of(path: str) -> Section | None:
    """By the first part of the address; how long a study or a session is kept belongs to retention."""
    first, _, rest = path.strip("/").partition("/")
    return Section.RETENTION if rest.endswith("retention") else _FIRST.get(first)
