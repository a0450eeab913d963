"""Outgoing mail: rendered and sealed in the caller's transaction, sent by the worker."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import ScalarSelect, SQLColumnExpression, select, update
from sqlalchemy.dialects.postgresql import insert

from app.database import Db, note, now_in
from app.jobs import enqueue
from app.language import Language, speaking
from app.ledger_entries import Suppressed
from app.mail.models import MailState, OutgoingMail, Suppression
from app.mail.render import header_safe, render
from app.sealed_columns import SealedColumns
from app.settings import Settings
from recordings.model import AccountId, PersonId

FIELD = "mail"


class MailContent(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed JSON of an outgoing mail."""

    to: str
    name: str
    subject: str
    text: str
    html: str
    headers: dict[str, str] = {}
    calendar: str = ""  # a calendar file that goes with it


async def queue(
    db: Db,
    columns: SealedColumns,
    *,
    settings: Settings,
    account: AccountId,
    person: PersonId,
    template: str,
    key: str,
    optional: bool,
    context: Mapping[str, object],
    to_name: str,
    to_email: str,
    headers: Mapping[str, str] | None = None,
    language: Language = Language.EN,
    calendar: str = "",
) -> UUID | None:
    """Write one mail and its sending job; the same `key` again writes nothing and answers None.

    optional: an invitation kind, which unsubscribing stops even when already queued; language: its reader's;
    calendar: a file that goes with it.
    Templates know `settings` and `to_name` besides `context`. Raises UnsafeHeader.
    """
    with speaking(language):
        rendered = render(template, {"settings": settings, "to_name": to_name, **context})
    content = MailContent(
        to=header_safe(to_email),
        name=header_safe(to_name),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        headers={name: header_safe(value) for name, value in (headers or {}).items()},
        calendar=calendar,
    )
    mail_id = uuid4()
    made = await db.execute(
        insert(OutgoingMail)
        .values(
            id=mail_id,
            account_id=account,
            person_id=person,
            template=template,
            optional=optional,
            key=key,
            content=columns.seal(account, person, FIELD, msgspec.json.encode(content).decode()),
            state=MailState.WAITING,
            tries=0,
        )
        .on_conflict_do_nothing(index_elements=[OutgoingMail.account_id, OutgoingMail.key])
        .returning(OutgoingMail.id)
    )
    if made.scalar_one_or_none() is None:
        return None
    await enqueue(
        db, "send_mail", instruction=f"mail:{template}", key=f"mail-{mail_id}", account_id=account, mail_id=mail_id
    )
    return mail_id


def open_mail(columns: SealedColumns, row: OutgoingMail) -> MailContent | None:
    """What the mail says; None once its person is erased."""
    text = columns.open(AccountId(row.account_id), PersonId(row.person_id), FIELD, row.content)
    return msgspec.json.decode(text, type=MailContent) if text.startswith("{") else None


LAST_WORDS = "address_changed"
"""The template of the last mail to an address that was corrected: its receiver is forgotten once it is sent."""


async def readdress(db: Db, columns: SealedColumns, *, account: AccountId, person: PersonId, email: str) -> None:
    """The person's address was corrected: what waits goes to the new one, what is done forgets the old one."""
    rows = await db.scalars(select(OutgoingMail).where(OutgoingMail.person_id == person).with_for_update())
    for row in rows:
        _write_to(columns, row, email if row.state in (MailState.WAITING, MailState.SENDING) else "")


def forget_receiver(columns: SealedColumns, row: OutgoingMail) -> None:
    """Where a mail went is not kept; what it said is."""
    _write_to(columns, row, "")


def _write_to(columns: SealedColumns, row: OutgoingMail, email: str) -> None:
    mail = open_mail(columns, row)
    if mail is not None:
        text = msgspec.json.encode(msgspec.structs.replace(mail, to=email)).decode()
        row.content = columns.seal(AccountId(row.account_id), PersonId(row.person_id), FIELD, text)


async def suppress(db: Db, *, account: AccountId, address_index: bytes) -> None:
    """From this transaction on the address gets no invitation from this account. Safe to run twice."""
    await db.execute(
        insert(Suppression)
        .values(account_id=account, address_index=address_index)
        .on_conflict_do_nothing(index_elements=[Suppression.account_id, Suppression.address_index])
    )


def ended_by(link: str, *, reply_to: str) -> dict[str, str]:
    """Headers of a mail that the platform sends by itself and that this link ends, with no cookie and no page (RFC
    8058, RFC 2369); no out-of-office answers come back (RFC 3834 §5)."""
    return {
        "List-Unsubscribe": f"<{link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Reply-To": reply_to,
        "Auto-Submitted": "auto-generated",
    }


async def unsubscribe_address(db: Db, *, account: AccountId, address_index: bytes) -> None:
    """As suppress(), and outlives the restore of an older backup: the ledger knows it before the click is answered."""
    if not await is_suppressed(db, address_index=address_index):
        note(db, Suppressed(at=await now_in(db), account=account, address=address_index.hex()))
        await suppress(db, account=account, address_index=address_index)


async def is_suppressed(db: Db, *, address_index: bytes) -> bool:
    return await db.scalar(select(Suppression.id).where(Suppression.address_index == address_index)) is not None


def state_of_newest(person: SQLColumnExpression[UUID]) -> ScalarSelect[str]:
    """What became of the newest invitation mailed to `person`, a column of the question around it; NULL: none was."""
    return (
        select(OutgoingMail.state)
        .where(OutgoingMail.person_id == person, OutgoingMail.optional)
        .order_by(OutgoingMail.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )


async def stop_waiting(db: Db, *, person: PersonId, key: str | None = None) -> None:
    """Optional mails of this person that wait (or the one of `key`) are not sent any more; one that is being sent
    at this moment is not tried again."""
    waiting = update(OutgoingMail).where(
        OutgoingMail.person_id == person,
        OutgoingMail.optional,
        OutgoingMail.state.in_((MailState.WAITING, MailState.SENDING)),
    )
    await db.execute((waiting.where(OutgoingMail.key == key) if key else waiting).values(state=MailState.SUPPRESSED))
