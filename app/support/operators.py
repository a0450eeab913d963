"""Verbs of operators: who they are, and the link they sign in with. Everything stands in the platform's account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select

from app.accounts.policy import LinkFacts, may_ask_link, may_use_link
from app.accounts.service import LinkGone
from app.audit import SYSTEM, Action, record
from app.database import Db, now_in, set_account
from app.errors import Conflict, NotThere
from app.mail.models import OutgoingMail
from app.mail.service import queue
from app.sealed_columns import PLATFORM, SealedColumns
from app.support.models import Operator, OperatorLink, OperatorPasskey
from app.tokens import SIGN_IN_LINK_LIFE, new_token, token_hash
from app.wiring import Wiring
from recordings.encryption.keystore import KeyPath
from recordings.model import PersonId

NAME_FIELD = "operator.name"
EMAIL_FIELD = "operator.email"
LINK = "operator-link"


class AlreadyOperator(Conflict):
    """This address belongs to an operator already."""


class NoOperator(NotThere):
    """No operator has this address."""


@dataclass(frozen=True, kw_only=True)
class OperatorLine:
    """An operator as the command line lists them."""

    id: PersonId
    name: str
    email: str
    since: datetime
    passkeys: int


async def add_operator(db: Db, columns: SealedColumns, *, name: str, email: str) -> PersonId:
    """Somebody who may ask for access, and has none by that. Raises AlreadyOperator."""
    index = await _enter(db, columns, email)
    if await db.scalar(select(Operator.id).where(Operator.email_index == index)) is not None:
        raise AlreadyOperator
    operator = PersonId(uuid4())
    columns.make_person_key(PLATFORM, operator)
    db.add(
        Operator(
            id=operator,
            account_id=PLATFORM,
            name=columns.seal(PLATFORM, operator, NAME_FIELD, name),
            email=columns.seal(PLATFORM, operator, EMAIL_FIELD, email),
            email_index=index,
        )
    )
    await db.flush()
    await record_of_platform(db, operator, Action.OPERATOR_ADDED, by=SYSTEM)
    return operator


async def remove_operator(db: Db, columns: SealedColumns, *, email: str) -> PersonId:
    """They are signed out, their passkeys and grants open nothing, and their key is destroyed. What owners were told
    of them stays with the owners. Raises NoOperator."""
    index = await _enter(db, columns, email)
    operator = await db.scalar(select(Operator.id).where(Operator.email_index == index))
    if operator is None:
        raise NoOperator
    await db.execute(delete(OutgoingMail).where(OutgoingMail.person_id == operator))
    await db.execute(delete(Operator).where(Operator.id == operator))
    await record_of_platform(db, PersonId(operator), Action.OPERATOR_REMOVED, by=SYSTEM)
    columns.keys.destroy(KeyPath(PLATFORM, PersonId(operator)))
    return PersonId(operator)


async def operators(db: Db, columns: SealedColumns) -> list[OperatorLine]:
    """All of them, in the order they were added."""
    await set_account(db, PLATFORM)
    counted = (
        select(Operator, func.count(OperatorPasskey.id))
        .outerjoin(OperatorPasskey, OperatorPasskey.operator_id == Operator.id)
        .group_by(Operator.id)
        .order_by(Operator.created_at, Operator.id)
    )
    return [
        OperatorLine(
            id=PersonId(row.id),
            name=columns.open(PLATFORM, PersonId(row.id), NAME_FIELD, row.name),
            email=columns.open(PLATFORM, PersonId(row.id), EMAIL_FIELD, row.email),
            since=row.created_at,
            passkeys=passkeys,
        )
        for row, passkeys in await db.execute(counted)
    ]


async def ask_sign_in(db: Db, wiring: Wiring, *, email: str) -> None:
    """Mail a link; nothing for an unknown address. The caller answers the same either way, before this runs."""
    index = await _enter(db, wiring.columns, email)
    row = await db.scalar(select(Operator).where(Operator.email_index == index).with_for_update())
    if row is None:
        return
    now = await now_in(db)
    waiting = (OperatorLink.operator_id == row.id, OperatorLink.expires_at > now, OperatorLink.used_at.is_(None))
    if not may_ask_link(await db.scalar(select(func.count()).where(*waiting)) or 0):
        return
    token = new_token()
    hashed = token_hash(token, LINK)
    db.add(OperatorLink(account_id=PLATFORM, operator_id=row.id, token_hash=hashed, expires_at=now + SIGN_IN_LINK_LIFE))
    await mail_operator(
        db,
        wiring,
        row,
        template="operator_sign_in",
        key=f"operator-sign-in-{uuid4()}",
        context={
            "link": f"{wiring.settings.public_url.rstrip('/')}/support/sign-in/{token}",
            "minutes": int(SIGN_IN_LINK_LIFE.total_seconds() // 60),
        },
    )


async def use_link(db: Db, *, token: str) -> PersonId:
    """Spend a link; from here on the platform's account is set. Raises LinkGone (unknown, used, expired)."""
    await set_account(db, PLATFORM)
    hashed = token_hash(token, LINK)
    link = await db.scalar(select(OperatorLink).where(OperatorLink.token_hash == hashed).with_for_update())
    now = await now_in(db)
    if link is None:
        raise LinkGone
    facts = LinkFacts(expires_at=link.expires_at, used=link.used_at is not None, member_removed=False)
    if not may_use_link(facts, now):
        raise LinkGone
    link.used_at = now
    return PersonId(link.operator_id)


async def mail_operator(
    db: Db, wiring: Wiring, row: Operator, *, template: str, key: str, context: dict[str, object]
) -> UUID | None:
    """A mail to an operator; the platform's account is set."""
    columns, operator = wiring.columns, PersonId(row.id)
    return await queue(
        db,
        columns,
        settings=wiring.settings,
        account=PLATFORM,
        person=operator,
        template=template,
        key=key,
        optional=False,
        context={"address": wiring.settings.public_url.rstrip("/"), **context},
        to_name=columns.open(PLATFORM, operator, NAME_FIELD, row.name),
        to_email=columns.open(PLATFORM, operator, EMAIL_FIELD, row.email),
    )


async def record_of_platform(
    db: Db, operator: PersonId, action: Action, *, subject: str | None = None, by: str | None = None
) -> None:
    """A line of the platform's own audit log."""
    who = f"operator:{operator}"
    await record(db, account=PLATFORM, actor=by or who, action=action, subject=subject or who)


async def _enter(db: Db, columns: SealedColumns, email: str) -> bytes:
    """Sets the platform's account; the blind index of the address in it."""
    columns.make_account_keys(PLATFORM)
    await set_account(db, PLATFORM)
    return columns.blind_index(PLATFORM, email)
