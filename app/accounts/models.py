"""Rows of the customer: account, its members, their logins, sign-in links and passkeys."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint, false, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Row


class Way(StrEnum):
    """How a member proved who they are."""

    LINK = "link"
    PASSKEY = "passkey"


class Role(StrEnum):
    OWNER = "owner"
    RESEARCHER = "researcher"
    OBSERVER = "observer"


class Scope(StrEnum):
    """What a login may reach."""

    MEMBER = "member"  # the account's pages, by role
    ROOM = "room"  # a participant: the invitation's own session
    DATA = "data"  # a participant who proved the registered address within 10 minutes: stored data


class Account(Base):
    """The customer. Its row-level policy compares account_id like every other table."""

    __tablename__ = "account"
    account_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    agreement_accepted_at: Mapped[datetime | None]  # the processing agreement (GDPR Art. 28) …
    agreement_dated: Mapped[date | None]  # … of this date …
    agreement_accepted_by: Mapped[UUID | None]  # … by this owner
    retention_days: Mapped[int | None] = mapped_column(default=180)  # of a new study; None: until asked
    longest_retention_days: Mapped[int | None]  # no study may keep longer; None: no limit
    # accounts.closing: announced for this moment …
    closes_at: Mapped[datetime | None]
    closing_asked_by: Mapped[str | None]  # … by this owner, as the audit log names them
    closed_at: Mapped[datetime | None]  # for good: what people left is being erased, owners see how …
    gone_at: Mapped[datetime | None]  # … until the account's own key is destroyed, and nobody signs in any more
    passkeys_needed: Mapped[bool] = mapped_column(default=False, server_default=false())  # by owners and researchers
    # kind -> days of what no study keeps longer (studies.clocks)
    periods: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default="{}")


class Member(Row):
    """A person of the account who signs in. `id` is also the PersonId of their key and recordings."""

    __tablename__ = "member"
    role: Mapped[str]
    name: Mapped[bytes]  # sealed, field "member.name"
    email: Mapped[bytes]  # sealed, field "member.email"
    email_index: Mapped[bytes]
    # what their switch in the next session begins with (sessions.models.MemberSwitch)
    records_self: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("account_id", "email_index"),)


class SignInAddress(Base):
    """Platform-wide blind index of member addresses, so that sign-in finds the account. No account_id:
    keyed hashes only, read through the doors function find_member_by_address."""

    __tablename__ = "sign_in_address"
    address_hash: Mapped[bytes] = mapped_column(primary_key=True)
    account: Mapped[UUID] = mapped_column(primary_key=True)
    member: Mapped[UUID]


class SignInLink(Row):
    """Mailed to a member: 10 minutes, single use; GET shows a button, POST signs in."""

    __tablename__ = "sign_in_link"
    member_id: Mapped[UUID] = mapped_column(ForeignKey("member.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Passkey(Row):
    """A member signs in with it (WebAuthn §4, public key credential source); its secret half stays on their device."""

    __tablename__ = "passkey"
    member_id: Mapped[UUID] = mapped_column(ForeignKey("member.id", ondelete="CASCADE"), index=True)
    credential_hash: Mapped[bytes] = mapped_column(unique=True)  # finds the account at sign-in
    credential_id: Mapped[bytes]
    public_key: Mapped[bytes]  # COSE (RFC 9052 §7)
    sign_count: Mapped[int] = mapped_column(BigInteger)  # 0 for good where a passkey does not count
    name: Mapped[bytes]  # sealed, field "passkey.name"
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """What a passkey is asked to sign: once, within minutes. Belongs to the platform: nobody is known yet."""

    __tablename__ = "passkey_challenge"
    challenge_hash: Mapped[bytes] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]


class Assignment(Row):
    """A member works with the people of one session: in a study that is seen by those assigned alone, nobody else but
    owners sees it (accounts.policy.sees_session). That of a new session is written before it, so the key is checked
    last."""

    __tablename__ = "assignment"
    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("session.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED")
    )
    member_id: Mapped[UUID] = mapped_column(ForeignKey("member.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (UniqueConstraint("session_id", "member_id"),)


class Login(Row):
    """A signed-in browser. Exactly one of member_id and participant_id is set."""

    __tablename__ = "login"
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    scope: Mapped[str]
    member_id: Mapped[UUID | None] = mapped_column(index=True)
    participant_id: Mapped[UUID | None] = mapped_column(index=True)
    session_id: Mapped[UUID | None]  # scope room: the session of the invitation
    way: Mapped[str | None]  # of a member
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())  # within some minutes
    expires_at: Mapped[datetime]
    data_until: Mapped[datetime | None]  # a participant proved the registered address: scope data until then
