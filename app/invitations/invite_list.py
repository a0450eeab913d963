"""Inviting a whole list: what would become of each person, then all of them in one transaction or none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select

from app.database import Db
from app.errors import Conflict
from app.invitations.models import Invitation
from app.invitations.people_list import PersonRow
from app.invitations.service import count_against_limit, invite
from app.mail.models import Suppression
from app.participants.models import Participant
from app.sessions.models import Session, SessionState
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


class NoList(Conflict):
    """A list cannot be invited to this session."""


class Outcome(StrEnum):
    """What becomes of one row."""

    INVITE = "invite"
    WRONG = "wrong"  # stops the whole list
    TWICE = "twice"
    ALREADY = "already"
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, kw_only=True)
class CheckedRow:
    """A row, what becomes of it, and that in words."""

    row: PersonRow
    outcome: Outcome
    words: str


@dataclass(frozen=True, kw_only=True)
class CheckedList:
    """A list as it would be imported now."""

    rows: tuple[CheckedRow, ...]

    def count(self, outcome: Outcome) -> int:
        return sum(row.outcome == outcome for row in self.rows)

    @property
    def importable(self) -> bool:
        """Somebody would be invited, and nothing is wrong."""
        return self.count(Outcome.INVITE) > 0 and self.count(Outcome.WRONG) == 0

    @property
    def fingerprint(self) -> str:
        """The same people with the same outcome: what somebody looked at is what is imported."""
        seen = "\0".join(f"{one.row.name}\t{one.row.email}\t{one.outcome}" for one in self.rows)
        return hashlib.sha256(seen.encode()).hexdigest()


def require_group(session: Session) -> None:
    """Raises NoList, with the reason."""
    if not session.group:
        raise NoList("This is a session with one participant, so there is nobody to invite from a list.")
    if session.state == SessionState.ENDED:
        raise NoList("This session has ended; nobody can be invited to it any more.")


async def check_list(
    db: Db, wiring: Wiring, *, account: AccountId, session: UUID, rows: Sequence[PersonRow]
) -> CheckedList:
    """What would become of each row now. Changes nothing."""
    indexes = [wiring.columns.blind_index(account, row.email) if not row.errors else b"" for row in rows]
    invited = set(
        await db.scalars(
            select(Participant.email_index)
            .join(Invitation, Invitation.participant_id == Participant.id)
            .where(Invitation.session_id == session, Invitation.revoked_at.is_(None))
        )
    )
    suppressed = set(await db.scalars(select(Suppression.address_index).where(Suppression.address_index.in_(indexes))))
    first_line: dict[bytes, int] = {}
    checked = []
    for row, index in zip(rows, indexes, strict=True):
        if row.errors:
            outcome, words = Outcome.WRONG, " ".join(row.errors)
        elif index in first_line:
            outcome, words = Outcome.TWICE, f"same address as in line {first_line[index]}; invited once"
        elif index in invited:
            outcome, words = Outcome.ALREADY, "is invited to this session already"
        elif index in suppressed:
            outcome, words = Outcome.UNSUBSCRIBED, "unsubscribed, will not be mailed"
        else:
            outcome, words = Outcome.INVITE, "will be invited"
        if not row.errors:
            first_line.setdefault(index, row.line)
        checked.append(CheckedRow(row=row, outcome=outcome, words=words))
    return CheckedList(rows=tuple(checked))


async def invite_list(
    db: Db, wiring: Wiring, *, account: AccountId, session: UUID, checked: CheckedList, words: str, by: PersonId
) -> int:
    """Invite everybody who is to be; returns how many. All or none: raises CannotInvite with nothing written."""
    people = [one.row for one in checked.rows if one.outcome is Outcome.INVITE]
    async with db.begin_nested():
        for row in people:
            await invite(
                db, wiring, account=account, session=session, name=row.name, email=row.email, words=words, by=by
            )
        await count_against_limit(db, wiring, account=account, people=len(people))
    return len(people)
