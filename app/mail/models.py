"""Outgoing mail rows: written in the caller's transaction, sent by the worker, sealed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Row


class MailState(StrEnum):
    WAITING = "waiting"
    SENDING = "sending"  # claimed by a worker
    SENT = "sent"
    SUPPRESSED = "suppressed"  # the address has unsubscribed from invitations
    FAILED = "failed"
    NOT_SENT = "not sent"  # waited in a backup that was restored: nobody knows whether it was sent


class OutgoingMail(Row):
    """One mail to one person. `content` is JSON (to, name, subject, text, html, headers), sealed under
    the person's key as field "mail"; erased with the person."""

    __tablename__ = "outgoing_mail"
    person_id: Mapped[UUID] = mapped_column(index=True)
    template: Mapped[str]
    optional: Mapped[bool]  # True: an invitation kind that unsubscribing stops
    key: Mapped[str]  # idempotency key in ids, UNIQUE per account
    content: Mapped[bytes]
    state: Mapped[str] = mapped_column(default=MailState.WAITING)
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("account_id", "key"),)


class Suppression(Row):
    """An address that unsubscribed from this account's invitations: a keyed hash, nothing else.
    It survives the erasure of the person."""

    __tablename__ = "suppression"
    address_index: Mapped[bytes]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (UniqueConstraint("account_id", "address_index"),)
