"""README.txt of an account's export: what each file is, who is not in it and why, and what is not in it at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.language import say_moment
from app.privacy.rights.zipped import CHECKSUMS
from app.settings import Settings


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Somebody who is not in it, by id."""

    person: UUID
    why: str


def readme(
    settings: Settings, *, account: str, people: Sequence[UUID], left_out: Sequence[LeftOut], now: datetime
) -> str:
    """For owners, who read English here as on their pages."""
    lines = [
        f"Everything {account} holds on {settings.platform_name}",
        f"Made on {say_moment(now, 'UTC')}.",
        "",
        "What is in it",
        "members.json: who works in the account, with names and addresses",
        "studies/: each study with its contact, consent texts and questions, its sessions and the notes about them",
        f"participants/: {len(people)} people, each in a folder named by their id, as in the copy they can take along "
        "themselves: README.txt, data.json, consents.json, answers.json, history.json, recordings, transcripts",
        "members/: what was recorded of members, in a folder named by their id, with transcripts",
        "certificates/: the certificate of each erasure, by its receipt",
        "audit/: the audit log, who did what to which thing, in ids; each line holds its hash and the one before it, "
        "and junier audit verify checks these files",
        "left-out.json: who is not in it, by id, and why; written last, so it also names who was erased meanwhile",
        f"{CHECKSUMS}: fingerprints that show whether a file has changed; sha256sum --check reads them",
        "",
        "Who is not in it",
        *([f"{one.person}: {one.why}" for one in left_out] or ["Nobody, as it stood when this was made."]),
        "",
        "What is not in it at all",
        "What was erased, or is past its date; what a participant asked you not to use, and notes of the sessions "
        "they took part in; recordings that are still being made ready (the participant's README.txt says so); secret "
        "links, codes and keys; ids that only our programs need.",
        "",
        "What it means to have it",
        "From here on these copies are yours to protect, and to erase when participants ask you or their date comes. "
        "Our certificates say nothing about them.",
        f"Questions about the platform: {settings.contact}",
    ]
    return "\n".join(lines) + "\n"
