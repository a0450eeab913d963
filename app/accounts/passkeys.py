"""Verbs of a member's passkeys: list, add, remove, sign in with one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from webauthn.helpers import generate_challenge

from app.accounts.ceremonies import PasskeyRefused, Site, added, challenge_of_added, credential_hash, new_sign_count
from app.accounts.ceremonies import shown as read_shown
from app.accounts.ceremonies import to_add as ask_to_add
from app.accounts.ceremonies import to_sign_in as ask_to_sign_in
from app.accounts.login import PASSKEY_ROLES, SignedIn
from app.accounts.models import Account, Login, Member, Passkey, PasskeyChallenge, Way
from app.accounts.policy import ProofFacts, may_add_passkey, may_change_passkeys, may_need_passkeys
from app.accounts.service import EMAIL_FIELD, SignedInMember
from app.audit import Action, record
from app.database import Db, door, note, now_in, set_account
from app.decisions import Decision
from app.errors import Conflict, NotThere, SignInNeeded
from app.ledger_entries import PasskeyRemoved, PasskeysNeeded
from app.sealed_columns import SealedColumns
from app.tokens import token_hash
from recordings.model import AccountId, PersonId

NAME_FIELD = "passkey.name"
CHALLENGE_LIFE = timedelta(minutes=5)
SECONDS = int(CHALLENGE_LIFE.total_seconds())
SIGN_IN = "passkey-sign-in"


class ProofNeeded(SignInNeeded):
    """To change how you sign in, please sign in again first."""


class LockedOut(Conflict):
    """This would lock you out."""


class TooManyPasskeys(Conflict):
    """You have as many passkeys as one person can have here. Please remove one first."""


@dataclass(frozen=True, kw_only=True)
class PasskeyLine:
    """A passkey as its member's page shows it."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


async def passkeys(db: Db, columns: SealedColumns, *, login: SignedIn) -> list[PasskeyLine]:
    """The member's own, in the order they were added."""
    return [
        PasskeyLine(
            id=row.id,
            name=columns.open(login.account, login.as_member, NAME_FIELD, row.name),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in await _of(db, login)
    ]


async def to_add(db: Db, columns: SealedColumns, site: Site, *, login: SignedIn) -> str:
    """JSON for the browser: make a passkey for this member; its answer counts in this login alone.
    Raises ProofNeeded."""
    await _require_proof(db, login)
    member = await db.get_one(Member, login.as_member)
    account = await db.get_one(Account, login.account)
    return ask_to_add(
        site,
        challenge=await _new_challenge(db, _adding(login)),
        user_handle=member.id.bytes,
        email=columns.open(login.account, login.as_member, EMAIL_FIELD, member.email),
        name=f"{login.name} ({account.name})",
        known=[row.credential_id for row in await _of(db, login)],
        seconds=SECONDS,
    )


async def add_passkey(db: Db, columns: SealedColumns, site: Site, *, login: SignedIn, name: str, answer: str) -> UUID:
    """Keep the public half of a passkey that was just made; whoever made it has unlocked their device, so this login
    counts as one by passkey. Raises ProofNeeded, PasskeyRefused, TooManyPasskeys; let what was written before be
    committed, so that a challenge is spent whatever came of it."""
    await _require_proof(db, login)
    challenge = challenge_of_added(answer)
    await _spend(db, challenge, _adding(login))
    made = added(site, answer=answer, challenge=challenge)
    await db.get(Member, login.as_member, with_for_update=True)  # two at once are counted one after the other
    decision = may_add_passkey(len(await _of(db, login)))
    if not decision:
        raise TooManyPasskeys(decision.reason)
    passkey = uuid4()
    kept = await db.scalar(
        insert(Passkey)
        .values(
            id=passkey,
            account_id=login.account,
            member_id=login.as_member,
            credential_hash=credential_hash(made.credential_id),
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            name=columns.seal(login.account, login.as_member, NAME_FIELD, name),
        )
        .on_conflict_do_nothing()
        .returning(Passkey.id)
    )
    if kept is None:  # somebody has a passkey of this id, here or in another account (WebAuthn §7.1 step 26)
        raise PasskeyRefused
    await db.execute(update(Login).where(Login.id == login.login_id).values(way=Way.PASSKEY))
    await _record(db, login.account, login.as_member, Action.PASSKEY_ADDED, passkey)
    return passkey


async def remove_passkey(db: Db, *, login: SignedIn, passkey: UUID) -> None:
    """It signs nobody in any more. Raises NotThere, for somebody else's too; ProofNeeded."""
    await _require_proof(db, login)
    row = await db.get(Passkey, passkey)
    if row is None or row.member_id != login.member:
        raise NotThere
    note(db, PasskeyRemoved(at=await now_in(db), account=login.account, passkey=row.id))
    await db.delete(row)
    await _record(db, login.account, login.as_member, Action.PASSKEY_REMOVED, passkey)


async def may_change(db: Db, *, login: SignedIn) -> Decision:
    """May this browser add or remove passkeys at this moment?"""
    now = await now_in(db)
    return may_change_passkeys(
        ProofFacts(signed_in_at=login.since, needs_passkey=login.needs_passkey, passkeys=len(await _of(db, login))),
        now,
    )


async def need_passkeys(db: Db, *, login: SignedIn, needed: bool) -> None:
    """From the next request on owners and researchers of the account need a passkey, or need none. Raises LockedOut."""
    decision = may_need_passkeys(login.way)
    if needed and not decision:
        raise LockedOut(decision.reason)
    await set_passkeys_needed(db, account=login.account, needed=needed, by=login.actor)


async def set_passkeys_needed(db: Db, *, account: AccountId, needed: bool, by: str) -> None:
    """Without asking whether somebody locks themselves out. Safe to run twice. Raises NotThere."""
    row = await db.get(Account, account, with_for_update=True)
    if row is None:
        raise NotThere
    if row.passkeys_needed == needed:
        return
    note(db, PasskeysNeeded(at=await now_in(db), account=account, needed=needed, gives=not needed))
    row.passkeys_needed = needed
    action = Action.PASSKEYS_NEEDED if needed else Action.PASSKEYS_NOT_NEEDED
    await record(db, account=account, actor=by, action=action, subject=f"account:{account}")


async def needs_passkey(db: Db, *, member: PersonId) -> bool:
    """Does the account ask this member for one? A link alone then leads to the page of passkeys and no further."""
    row = await db.get_one(Member, member)
    account = await db.get_one(Account, row.account_id)
    return account.passkeys_needed and row.role in PASSKEY_ROLES


async def to_sign_in(db: Db, site: Site) -> str:
    """JSON for the browser: show any passkey for this site."""
    return ask_to_sign_in(site, challenge=await _new_challenge(db, SIGN_IN), seconds=SECONDS)


async def sign_in_with(db: Db, site: Site, *, answer: str) -> SignedInMember:
    """Whose passkey was shown; their account is set. Raises PasskeyRefused, with the same words whatever did not fit;
    let what was written before be committed, so that a challenge is spent whatever came of it."""
    said = read_shown(answer)
    await _spend(db, said.challenge, SIGN_IN)
    found = await door(db, "find_passkey", credential_hash=credential_hash(said.credential_id))
    if found is None:
        raise PasskeyRefused
    account = AccountId(found.account_id)
    await set_account(db, account)
    row = await db.get(Passkey, found.passkey_id, with_for_update=True)  # its counter goes up one by one
    member = await db.get(Member, row.member_id) if row else None
    if row is None or member is None or member.removed_at is not None or said.user_handle != member.id.bytes:
        raise PasskeyRefused
    row.sign_count = new_sign_count(
        site, said, challenge=said.challenge, public_key=row.public_key, sign_count=row.sign_count
    )
    row.last_used_at = await now_in(db)
    await _record(db, account, PersonId(member.id), Action.PASSKEY_USED, row.id)
    return SignedInMember(account=account, member=PersonId(member.id))


async def _of(db: Db, login: SignedIn) -> list[Passkey]:
    mine = select(Passkey).where(Passkey.member_id == login.as_member)
    return list(await db.scalars(mine.order_by(Passkey.created_at, Passkey.id)))


async def _require_proof(db: Db, login: SignedIn) -> None:
    decision = await may_change(db, login=login)
    if not decision:
        raise ProofNeeded(decision.reason)


def _adding(login: SignedIn) -> str:
    return f"passkey-add:{login.login_id}"


async def _new_challenge(db: Db, purpose: str) -> bytes:
    challenge = generate_challenge()
    await db.execute(delete(PasskeyChallenge).where(PasskeyChallenge.expires_at <= func.now()))
    db.add(
        PasskeyChallenge(
            challenge_hash=token_hash(challenge.hex(), purpose), expires_at=await now_in(db) + CHALLENGE_LIFE
        )
    )
    await db.flush()
    return challenge


async def _spend(db: Db, challenge: bytes, purpose: str) -> None:
    """Once, in time, and for what it was asked. Raises PasskeyRefused."""
    ours = PasskeyChallenge.challenge_hash == token_hash(challenge.hex(), purpose)
    spent = delete(PasskeyChallenge).where(ours).returning(PasskeyChallenge.expires_at)
    expires_at = await db.scalar(spent)
    if expires_at is None or expires_at <= await now_in(db):
        raise PasskeyRefused


async def _record(db: Db, account: AccountId, member: PersonId, action: Action, passkey: UUID) -> None:
    await record(db, account=account, actor=f"member:{member}", action=action, subject=f"passkey:{passkey}")
