"""The last step of a closed account: its own key, and with it all that was sealed for it and its members."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import delete, literal_column, select, update

from app.accounts.models import Member
from app.audit import SYSTEM, Action, Fact, record
from app.database import Base, Db, note, now_in
from app.ledger_entries import AccountGone
from app.mail.models import OutgoingMail, Suppression
from app.privacy.erasing.found import Found, key_id, look
from app.privacy.keeping.closing import let_nobody_in
from app.privacy.keeping.closing_paper import issue, members_removed
from app.privacy.keeping.closing_steps import closing_account
from app.sealed_columns import COLUMNS_ITEM, INDEX_ITEM
from app.studies.models import Question, Tally
from app.wiring import Wiring
from recordings.encryption.keystore import KeyPath, KeyStoreError
from recordings.model import AccountId, PersonId

WORDS: Mapping[str, tuple[str, ...]] = {
    "account": ("name",),
    "study": ("title", "contact_name", "contact_email", "questions_words"),
    "consent_text": ("text",),
    "question": ("prompt", "lowest_label", "highest_label"),
    "session": ("title",),
    "support_request": ("operator_name", "reason"),
    "disclosure": ("recipient", "contact"),
    "recipient_notice": ("words",),
}
"""Texts of the account itself, emptied; ids, dates and kinds stay in their rows."""


async def destroy_account(wiring: Wiring, account: AccountId) -> None:
    """Safe to run twice, beside itself and after a crash at any step: nobody signs in any more and the ledger knows it;
    the key goes; then rows, certificate and state in one transaction. What could not be confirmed is said, and tried
    again."""
    async with wiring.database.transaction(account) as db:
        row, now = await closing_account(db), await now_in(db)
        note(db, AccountGone(at=now, account=account, asked_by=row.closing_asked_by or ""))
        await let_nobody_in(db, account)
        owners = list(await db.scalars(select(Member.id)))
        people = {*owners, *await members_removed(db)}
    keys, left, reasons = await asyncio.to_thread(_destroy, wiring, account, people)
    async with wiring.database.transaction(account) as db:
        row = await closing_account(db)
        if row.gone_at is not None:  # another run was faster
            return
        for owner in owners:
            subject = f"member:{owner}"
            by = row.closing_asked_by or subject
            await record(db, account=account, actor=by, action=Action.MEMBER_REMOVED, subject=subject)
        rows = await _close_rows(db)
        verified = () if reasons else _verified(keys)
        state = await issue(
            db, wiring.settings, row, keys=keys, rows=rows, verified=verified, reasons=reasons, removed=owners
        )
        if state == "complete":
            row.gone_at = await now_in(db)
        facts: dict[str, Fact | UUID] = {"keys": len(keys), "left": len(left.objects), "state": state}
        subject = f"account:{account}"
        await record(db, account=account, actor=SYSTEM, action=Action.ACCOUNT_GONE, subject=subject, facts=facts)


def _destroy(wiring: Wiring, account: AccountId, people: Iterable[UUID]) -> tuple[list[str], Found, list[str]]:
    """Keys that are gone, what still lies in the store, and what could not be confirmed. Blocking."""
    own = [KeyPath(account), *(KeyPath(account, None, item) for item in (COLUMNS_ITEM, INDEX_ITEM))]
    paths = [*own, *(KeyPath(account, PersonId(person)) for person in people)]
    reasons = []
    try:
        wiring.keys.destroy(KeyPath(account))
    except KeyStoreError as error:
        reasons.append(f"The key store did not confirm that the account's key is destroyed: {error}")
    seen = look(wiring.store, wiring.keys, [f"{account}/"], paths)
    standing = seen.found.keys | frozenset(seen.blind)
    reasons += [f"The key {key} can still be unwrapped" for key in sorted(seen.found.keys)]
    reasons += [f"The object {one} is still in the store" for one in sorted({o.key for o in seen.found.objects})]
    reasons += [f"It could not be seen whether anything remains of {place}" for place in seen.blind]
    return [key_id(path) for path in paths if key_id(path) not in standing], seen.found, reasons


def _verified(keys: list[str]) -> tuple[str, ...]:
    return (
        f"{len(keys)} keys of the account and its members tried again: none opens any more",
        "The account's place in the object store listed again, with versions and open uploads: nothing is left",
    )


async def _close_rows(db: Db) -> dict[str, int]:
    """Names and addresses go with the rows of members, mails and unsubscribed addresses; words are emptied."""
    rows = {}
    for name, model in (("members", Member), ("mails", OutgoingMail), ("unsubscribed", Suppression)):
        rows[name] = len((await db.scalars(delete(model).returning(model.id))).all())
    for name, columns in WORDS.items():
        table = Base.metadata.tables[name]
        result = await db.execute(update(table).values(dict.fromkeys(columns, literal_column("''"))))
        rows[name] = int(getattr(result, "rowcount", 0))
    await db.execute(update(Question).values(options=[]))
    await db.execute(delete(Tally))  # which name the choices too
    return rows
