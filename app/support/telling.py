"""Mails of support access: to the account's owners at every step, to the operator when there is an answer. No mail
names a session or says why: mailboxes outlive erasures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from app.database import Db, set_account
from app.privacy.rights.telling import tell_owners
from app.sealed_columns import PLATFORM
from app.support.models import Operator, SupportRequest
from app.support.operators import mail_operator
from app.wiring import Wiring
from recordings.model import AccountId


async def tell_of_request(db: Db, wiring: Wiring, row: SupportRequest, *, operator_name: str) -> None:
    """To the owners: somebody asked."""
    context = {"operator_name": operator_name, "kind": row.object_kind}
    await _tell_owners(db, wiring, row, "support_asked", context)


async def tell_of_answer(db: Db, wiring: Wiring, row: SupportRequest, *, operator_name: str) -> None:
    """To the owners what was granted, and by whom; to the operator granted or refused. The account is set, and is again
    when this returns."""
    minutes = row.ends_at and row.answered_at and (row.ends_at - row.answered_at) // timedelta(minutes=1)
    if minutes:
        by_operator = (row.answered_by or "").startswith("operator:")
        context = {"operator_name": operator_name, "kind": row.object_kind, "minutes": minutes}
        await _tell_owners(db, wiring, row, "support_granted", context | {"by_operator": by_operator})
    await db.flush()
    await set_account(db, PLATFORM)
    operator = await db.get(Operator, row.operator_id)
    if operator is not None:
        key, context = f"support-answer-{row.id}", {"kind": row.object_kind, "minutes": minutes or 0}
        await mail_operator(db, wiring, operator, template="support_answered", key=key, context=context)
    await set_account(db, row.account_id)


async def tell_of_reading(db: Db, wiring: Wiring, row: SupportRequest, *, operator_name: str) -> None:
    """To the owners, once for each grant: it is being used."""
    context = {"operator_name": operator_name, "kind": row.object_kind}
    await _tell_owners(db, wiring, row, "support_used", context)


async def _tell_owners(
    db: Db, wiring: Wiring, row: SupportRequest, template: str, context: Mapping[str, object]
) -> None:
    await tell_owners(
        db,
        wiring,
        account=AccountId(row.account_id),
        template=template,
        key=f"{template.replace('_', '-')}-{row.id}",
        context=context,
    )
