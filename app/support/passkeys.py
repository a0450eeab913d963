"""Passkeys of operators: the first is made after the mailed link, and from then on one is shown at every sign-in."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from webauthn.helpers import generate_challenge

from app.accounts.ceremonies import (
    PasskeyRefused,
    Site,
    added,
    challenge_of_added,
    credential_hash,
    new_sign_count,
    shown,
    to_add,
    to_sign_in,
)
from app.accounts.policy import PASSKEYS_AT_MOST
from app.audit import Action
from app.database import Db, now_in
from app.sealed_columns import PLATFORM, SealedColumns
from app.support.login import SignedInOperator
from app.support.models import Operator, OperatorLogin, OperatorPasskey
from app.support.operators import EMAIL_FIELD, record_of_platform
from app.tokens import token_hash

LIFE = timedelta(minutes=5)
SECONDS = int(LIFE.total_seconds())
PURPOSE = "operator-passkey"


async def has_passkey(db: Db, operator: SignedInOperator) -> bool:
    """Whether this sign-in has to show one. Without any yet, the mailed link is enough to make the first."""
    mine = select(OperatorPasskey.id).where(OperatorPasskey.operator_id == operator.operator)
    return await db.scalar(mine.limit(1)) is not None


async def ask_passkey(db: Db, columns: SealedColumns, site: Site, operator: SignedInOperator) -> str:
    """JSON for the browser: show a passkey; or make one, for who has none or showed one. It counts in this browser."""
    challenge = generate_challenge()
    login = await db.get_one(OperatorLogin, operator.login_id, with_for_update=True)
    login.challenge_hash = token_hash(challenge.hex(), PURPOSE)
    login.challenge_until = await now_in(db) + LIFE
    known = await _of(db, operator)
    if known and not operator.proven:
        return to_sign_in(site, challenge=challenge, seconds=SECONDS)
    row = await db.get_one(Operator, operator.operator)
    return to_add(
        site,
        challenge=challenge,
        user_handle=operator.operator.bytes,
        email=columns.open(PLATFORM, operator.operator, EMAIL_FIELD, row.email),
        name=operator.name,
        known=[one.credential_id for one in known],
        seconds=SECONDS,
    )


async def make_passkey(db: Db, site: Site, operator: SignedInOperator, *, answer: str) -> None:
    """Keep the public half of one that was just made, and believe this browser. Raises PasskeyRefused; let what was
    written before be committed, so that a challenge is spent whatever came of it."""
    login = await _spend(db, operator, challenge_of_added(answer))
    made = added(site, answer=answer, challenge=challenge_of_added(answer))
    known = await _of(db, operator)
    if (known and login.passkey_at is None) or len(known) >= PASSKEYS_AT_MOST:
        raise PasskeyRefused  # whoever has the mailbox alone adds none beside those there are
    passkey = uuid4()
    kept = await db.scalar(
        insert(OperatorPasskey)
        .values(
            id=passkey,
            account_id=PLATFORM,
            operator_id=operator.operator,
            credential_hash=credential_hash(made.credential_id),
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
        )
        .on_conflict_do_nothing()
        .returning(OperatorPasskey.id)
    )
    if kept is None:
        raise PasskeyRefused
    await _believe(db, operator, login, Action.OPERATOR_PASSKEY_ADDED, passkey)


async def show_passkey(db: Db, site: Site, operator: SignedInOperator, *, answer: str) -> None:
    """Believe this browser. Raises PasskeyRefused, as make_passkey does."""
    said = shown(answer)
    login = await _spend(db, operator, said.challenge)
    row = await db.scalar(
        select(OperatorPasskey)
        .where(
            OperatorPasskey.credential_hash == credential_hash(said.credential_id),
            OperatorPasskey.operator_id == operator.operator,
        )
        .with_for_update()
    )
    if row is None or said.user_handle != operator.operator.bytes:
        raise PasskeyRefused
    row.sign_count = new_sign_count(
        site, said, challenge=said.challenge, public_key=row.public_key, sign_count=row.sign_count
    )
    await _believe(db, operator, login, Action.OPERATOR_SIGNED_IN, row.id)


async def _of(db: Db, operator: SignedInOperator) -> list[OperatorPasskey]:
    """Locked with their operator, so that two first passkeys at once are one after the other."""
    await db.get_one(Operator, operator.operator, with_for_update=True)
    mine = select(OperatorPasskey).where(OperatorPasskey.operator_id == operator.operator)
    return list(await db.scalars(mine.order_by(OperatorPasskey.created_at, OperatorPasskey.id)))


async def _spend(db: Db, operator: SignedInOperator, challenge: bytes) -> OperatorLogin:
    """Once, in time, and in the browser that asked. Raises PasskeyRefused."""
    login = await db.get_one(OperatorLogin, operator.login_id, with_for_update=True)
    asked, until = login.challenge_hash, login.challenge_until
    login.challenge_hash = login.challenge_until = None
    fits = asked == token_hash(challenge.hex(), PURPOSE)
    if not fits or until is None or until <= await now_in(db):
        raise PasskeyRefused
    return login


async def _believe(db: Db, operator: SignedInOperator, login: OperatorLogin, action: Action, passkey: UUID) -> None:
    login.passkey_at = await now_in(db)
    await record_of_platform(db, operator.operator, action, subject=f"passkey:{passkey}")
