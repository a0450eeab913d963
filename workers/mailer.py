"""Mailer: the port to whoever carries a mail, proven by tests/contracts/test_mailer.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

from app.invitations.calendar_file import NAME, method_of

FORBIDDEN_IN_HEADERS = "\r\n\0\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class MailError(Exception):
    """The mail could not be handed over."""

    def __init__(self, message: str | None = None, *, retry: bool) -> None:
        super().__init__(message or self.__doc__)
        self.retry = retry


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """One mail as it leaves. message_id is stable over tries, so that a repeated one can be recognised; calendar: a
    calendar file that goes with it."""

    from_name: str
    from_address: str
    to_name: str
    to_address: str
    subject: str
    text: str
    html: str
    message_id: str
    at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    calendar: str = ""

    def __post_init__(self) -> None:
        for value in (self.from_name, self.to_name, self.to_address, self.subject, *self.headers.values()):
            if any(c in FORBIDDEN_IN_HEADERS for c in value):
                raise MailError("A mail header contains a line break or a direction mark", retry=False)


class Mailer(Protocol):
    """Adapters: mailtrap.py, smtp.py, and Outbox in development."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail over; returning means the carrier accepted it. Raises MailError."""


class Outbox:
    """Development: the mail stays in its row, and the outbox page shows it."""

    async def send(self, mail: Mail) -> None:
        """Nothing leaves this machine."""


def as_message(mail: Mail) -> EmailMessage:
    """The canonical form (RFC 5322), text first, HTML as the alternative; then the calendar file (RFC 6047 §2.4)."""
    message = EmailMessage()
    message["From"] = Address(mail.from_name, addr_spec=mail.from_address)
    message["To"] = Address(mail.to_name, addr_spec=mail.to_address)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.at)
    message["Message-ID"] = mail.message_id
    for name, value in mail.headers.items():
        message[name] = value
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    if mail.calendar:
        params = {"method": method_of(mail.calendar), "charset": "utf-8"}
        file = mail.calendar.encode()
        message.add_attachment(file, maintype="text", subtype="calendar", filename=NAME, params=params)
    return message
