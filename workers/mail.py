"""Send one waiting mail: claimed before sending, checked against the suppression list at that moment."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import select

from app.database import Db
from app.invitations.session_mails import still_wanted
from app.mail.models import MailState, OutgoingMail, Suppression
from app.mail.service import LAST_WORDS, forget_receiver
from app.sealed_columns import ERASED
from app.settings import Settings
from app.wiring import Wiring
from recordings.model import AccountId, PersonId
from workers.mailer import Mail, Mailer, MailError, Outbox

GIVE_UP_AFTER = 8
"""Tries of one mail; the job engine spaces them out."""


def open_mailer(settings: Settings) -> Mailer:
    """The carrier the settings name; each adapter is imported only when used."""
    if settings.mail == "mailtrap":
        from workers.mailtrap import MailtrapMailer

        return MailtrapMailer(token=settings.mailtrap_token, host=settings.mailtrap_host)
    if settings.mail == "smtp":
        from workers.smtp import SmtpMailer

        return SmtpMailer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            user=settings.smtp_user,
            password=settings.smtp_password,
            tls=settings.smtp_tls,
        )
    return Outbox()


async def send_mail(wiring: Wiring, mailer: Mailer, account: AccountId, mail_id: UUID) -> None:
    """At least once, with a stable Message-ID. Raises MailError while another try can help."""
    async with wiring.database.transaction(account) as db:
        mail = await _claim(db, wiring, mail_id)
    if mail is None:
        return
    try:
        await mailer.send(mail)
    except MailError as error:
        async with wiring.database.transaction(account) as db:
            row = await db.get(OutgoingMail, mail_id, with_for_update=True)
            if row is None or row.state != MailState.SENDING:  # stopped or erased meanwhile: no other try
                return
            final = not error.retry or row.tries >= GIVE_UP_AFTER
            row.state = MailState.FAILED if final else MailState.WAITING
            if final and row.template == LAST_WORDS:
                forget_receiver(wiring.columns, row)
        if not final:
            raise
        return
    async with wiring.database.transaction(account) as db:
        row = await db.get(OutgoingMail, mail_id, with_for_update=True)
        if row is not None:  # erased with its person while it was on its way
            row.state, row.sent_at = MailState.SENT, datetime.now(UTC)
            if row.template == LAST_WORDS:
                forget_receiver(wiring.columns, row)


async def _claim(db: Db, wiring: Wiring, mail_id: UUID) -> Mail | None:
    row = await db.get(OutgoingMail, mail_id, with_for_update=True)
    if row is None or row.state not in (MailState.WAITING, MailState.SENDING):
        return None
    account, person = AccountId(row.account_id), PersonId(row.person_id)
    sealed = wiring.columns.open(account, person, "mail", row.content)
    if sealed == ERASED:  # the person was erased while the mail waited
        row.state = MailState.SUPPRESSED
        return None
    content = msgspec.json.decode(sealed)
    if not await still_wanted(db, row):  # the session was moved, cancelled or begun, or its participant left
        row.state = MailState.SUPPRESSED
        return None
    if row.optional and await _suppressed(db, wiring.columns.blind_index(account, content["to"])):
        row.state = MailState.SUPPRESSED
        return None
    row.state = MailState.SENDING
    row.tries += 1
    settings = wiring.settings
    domain = (settings.mail_from or "localhost@localhost").rpartition("@")[2]
    return Mail(
        from_name=settings.platform_name,
        from_address=settings.mail_from or "outbox@localhost",
        to_name=content.get("name", ""),
        to_address=content["to"],
        subject=content["subject"],
        text=content["text"],
        html=content["html"],
        message_id=f"<{row.id}@{domain}>",
        at=row.created_at,
        headers=content.get("headers", {}),
        calendar=content.get("calendar", ""),
    )


async def _suppressed(db: Db, address_index: bytes) -> bool:
    found = await db.execute(select(Suppression.id).where(Suppression.address_index == address_index))
    return found.first() is not None
