"""The certificate of a closed account, beside those of its persons: signed as they are, checked by the same program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID

import rfc8785

from app.privacy.erasing.certificate import ACCOUNT_FORMAT, Document, written_time


@dataclass(frozen=True, kw_only=True)
class PersonPaper:
    """The newest certificate of one erasure. digest: SHA-256 of its signed content in canonical form (RFC 8785)."""

    certificate: UUID
    erasure: UUID
    receipt: str
    person: UUID
    state: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Staying:
    """What is not erased, why, and until when, in plain words."""

    what: str
    why: str
    until: str


@dataclass(frozen=True, kw_only=True)
class AccountFacts:
    """All that the certificate of an account says. keys: ids of keys of the account and its members that were destroyed
    and asked for again; rows: of the account that went besides; reasons: what could not be erased or verified (then
    the certificate is partial)."""

    certificate: UUID
    installation: str
    account: UUID
    asked_by: str
    closed_at: datetime
    issued_at: datetime
    backups_until: date
    persons: Sequence[PersonPaper]
    members_removed: Sequence[UUID]
    keys: Sequence[str]
    rows: Mapping[str, int]
    stays: Sequence[Staying]
    verified: Sequence[str]
    reasons: Sequence[str]

    @property
    def state(self) -> str:
        return "partial" if self.reasons else "complete"


def account_document(facts: AccountFacts) -> Document:
    """The certificate as JSON. Ids, counts, times and technical reasons only: it outlives the account."""
    return {
        "format": ACCOUNT_FORMAT,
        "certificate": str(facts.certificate),
        "installation": facts.installation,
        "account": str(facts.account),
        "state": facts.state,
        "asked_by": facts.asked_by,
        "closed_at": written_time(facts.closed_at),
        "issued_at": written_time(facts.issued_at),
        "backups_until": facts.backups_until.isoformat(),
        "persons": [
            {
                "certificate": str(paper.certificate),
                "erasure": str(paper.erasure),
                "receipt": paper.receipt,
                "person": str(paper.person),
                "state": paper.state,
                "sha256": paper.digest,
            }
            for paper in facts.persons
        ],
        "members_removed": sorted(str(member) for member in facts.members_removed),
        "keys": sorted(facts.keys),
        "rows": dict(facts.rows),
        "stays": [{"what": one.what, "why": one.why, "until": one.until} for one in facts.stays],
        "verified": list(facts.verified),
        "not_verified": list(facts.reasons),
    }


def digest(content: Document) -> str:
    """By which a certificate of a person is named here."""
    return sha256(rfc8785.dumps(content)).hexdigest()
