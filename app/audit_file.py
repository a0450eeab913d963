"""The audit log of an account as lines of JSON, which whoever took them along can check without us.

    {"account": id, "number": 1, "at": ISO 8601, "actor": …, "action": …, "subject": …, "facts": {…},
     "previous": hex, "hash": hex}

hash: SHA-256 over canonical JSON (RFC 8785) of "version": 1 and all but hash itself, as app.audit.event_hash makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.audit import AuditEvent, Verdict, Walk, content_of
from app.database import Db
from app.errors import JunierError

PORTION = 5_000
"""Events of one file: a few megabytes."""


class NotAnAuditLog(JunierError):
    """This is no audit log of an account's export, or a line of it is not whole."""


async def events_after(db: Db, number: int) -> Sequence[AuditEvent]:
    """A portion of the log of this transaction's account, in order."""
    after = select(AuditEvent).where(AuditEvent.number > number).order_by(AuditEvent.number)
    return (await db.scalars(after.limit(PORTION))).all()


def written(events: Iterable[AuditEvent]) -> bytes:
    return b"".join(json.dumps(_said(link), ensure_ascii=False).encode() + b"\n" for link in events)


def check(lines: Iterable[bytes]) -> Verdict:
    """Whether they are an unbroken chain from its first event on. An end that was cut off shows against Verdict.last
    of another time. Raises NotAnAuditLog."""
    walk, account = Walk(), None
    for line in lines:
        link = _read(line)
        account = account or link.account_id
        if link.account_id != account or not walk.follow(link):
            walk.broken = True
            break
    return walk.verdict


def _said(link: AuditEvent) -> dict[str, Any]:
    return {**content_of(link), "hash": link.hash.hex()}


def _read(line: bytes) -> AuditEvent:
    try:
        said = json.loads(line)
        return AuditEvent(
            account_id=UUID(said["account"]),
            number=said["number"],
            at=datetime.fromisoformat(said["at"]),
            actor=said["actor"],
            action=said["action"],
            subject=said["subject"],
            facts=said["facts"],
            previous_hash=bytes.fromhex(said["previous"]),
            hash=bytes.fromhex(said["hash"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAnAuditLog from error
