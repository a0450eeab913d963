"""Rows of support access. Operators are people of the platform's own account, the one with the id zero: row-level
security keeps them apart from every customer, and every customer from them. Requests are rows of the customer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, false, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Row


class ObjectKind(StrEnum):
    """What one grant opens."""

    SESSION = "session"  # its recordings and their transcripts
    RECORDING = "recording"


class Operator(Row):
    """Somebody who runs the platform. `id` is also the PersonId of their key, under the platform's account."""

    __tablename__ = "operator"
    name: Mapped[bytes]  # sealed, field "operator.name"
    email: Mapped[bytes]  # sealed, field "operator.email"
    email_index: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OperatorLink(Row):
    """Mailed to an operator: 10 minutes, single use; GET shows a button, POST signs in, and opens nothing yet."""

    __tablename__ = "operator_link"
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operator.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class OperatorLogin(Row):
    """An operator's browser. It opens nothing until a passkey was shown."""

    __tablename__ = "operator_login"
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operator.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    passkey_at: Mapped[datetime | None]
    challenge_hash: Mapped[bytes | None]  # what a passkey is asked to sign in this browser, once …
    challenge_until: Mapped[datetime | None]  # … within minutes


class OperatorPasskey(Row):
    """The second proof of an operator (WebAuthn §4); its secret half stays on their device. Never one of a member's."""

    __tablename__ = "operator_passkey"
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operator.id", ondelete="CASCADE"), index=True)
    credential_hash: Mapped[bytes] = mapped_column(unique=True)
    credential_id: Mapped[bytes]
    public_key: Mapped[bytes]  # COSE (RFC 9052 §7)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SupportRequest(Row):
    """An operator's wish to look at one object of this account, and what became of it (policy.standing)."""

    __tablename__ = "support_request"
    operator_id: Mapped[UUID] = mapped_column(index=True)  # of the platform's account
    operator_name: Mapped[bytes]  # sealed under this account's key: it stays when the operator goes
    object_kind: Mapped[str]
    object_id: Mapped[UUID]
    reason: Mapped[bytes]  # sealed under this account's key
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]  # "member:<id>" | "operator:<id>"
    ends_at: Mapped[datetime | None]  # of the grant; None with an answer: refused
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    used_at: Mapped[datetime | None]  # first reading


class SupportRule(Base):
    """What an owner decided once for all requests. No row: only an owner may grant."""

    __tablename__ = "support_rule"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    second_operator: Mapped[bool] = mapped_column(default=False, server_default=false())
    set_at: Mapped[datetime]
    set_by: Mapped[str]
