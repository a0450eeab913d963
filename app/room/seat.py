"""Seats: who is asking, in which room. Every request of the room is authorised here, from the rows as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.accounts.login import SignedIn
from app.accounts.models import Role
from app.database import Db, set_account
from app.errors import Forbidden, NotThere, SignInNeeded
from app.pages import AnyRequest
from app.room.room import Person, RoomFacts
from app.room.rows import read_room
from app.room.secret import node_secret, purpose_key
from app.room.tokens import PURPOSE, BadRoomToken, RoomToken, read
from app.settings import Settings
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A person in a room, with all that is known of it at this moment."""

    facts: RoomFacts
    person: Person

    @property
    def account(self) -> AccountId:
        return self.facts.account

    @property
    def actor(self) -> str:
        """As audit names this person."""
        return f"{'member' if self.person.is_member else 'participant'}:{self.person.person}"


async def seat_of(db: Db, wiring: Wiring, login: SignedIn | None, session: UUID) -> Seat:
    """The seat of a signed-in browser. Raises SignInNeeded; NotThere for a session that is not theirs."""
    if login is None:
        raise SignInNeeded("Please open the link in your invitation mail, or sign in.")
    person = login.member or login.participant
    if person is None or (login.participant and login.session not in (None, session)):
        raise NotThere
    return await _seat(db, wiring, login.account, session, person)


async def seat_of_token(db: Db, wiring: Wiring, token: RoomToken) -> Seat:
    """The seat a room token names, if that person still has it. Sets the account."""
    await set_account(db, token.account)
    try:
        seat = await _seat(db, wiring, AccountId(token.account), token.session, PersonId(token.person))
    except NotThere:
        raise BadRoomToken from None
    if seat.person.is_member != token.is_member:
        raise BadRoomToken
    return seat


def bearer(request: AnyRequest, settings: Settings) -> RoomToken | None:
    """The room token of a request, None when it shows none; a wrong one never falls back to the cookie."""
    shown = request.headers.get("authorization")
    if shown is None:
        return None
    scheme, _, token = shown.partition(" ")
    if scheme.lower() != "bearer":
        raise BadRoomToken
    return read(token_key(settings), token.strip(), datetime.now(UTC))


def token_key(settings: Settings) -> bytes:
    return purpose_key(node_secret(settings), PURPOSE)


def require_host(seat: Seat) -> None:
    """Only owners and researchers lead a session."""
    if seat.person.role not in (Role.OWNER, Role.RESEARCHER):
        raise Forbidden("Only the owner and researchers of this account can do this.")


def require_guest(seat: Seat) -> None:
    """Only the participant decides about their own recording."""
    if seat.person.is_member:
        raise Forbidden("Only the participant can do this.")


async def _seat(db: Db, wiring: Wiring, account: AccountId, session: UUID, person: PersonId) -> Seat:
    facts = await read_room(db, wiring, account=account, session=session)
    found = facts.people.get(person)
    if found is None or (found.join is not None and (found.join.erased or found.join.revoked)):
        raise NotThere
    return Seat(facts=facts, person=found)
