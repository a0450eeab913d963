"""Issue the certificate of an account: for now while something is left, and for good when its key is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import select

from app.accounts.models import Account
from app.audit import Action, AuditEvent
from app.database import Db, now_in
from app.privacy.erasing.account_certificate import AccountFacts, PersonPaper, Staying, account_document, digest
from app.privacy.erasing.account_papers import newest_paper
from app.privacy.erasing.certificate import public_bytes, sign, signing_key
from app.privacy.erasing.policy import OPEN_STATES
from app.privacy.records.models import AccountCertificate, Certificate, Erasure
from app.settings import Settings
from recordings.model import AccountId

STAYS = (
    Staying(
        what="the audit log of the account, in ids and kinds of events",
        why="it shows who did what (GDPR Art. 5(2)); nothing that is left says whose ids they are",
        until="as long as this installation lives",
    ),
    Staying(
        what="consents, requests, erasures and certificates, in ids, dates and kinds",
        why="they prove what was agreed to, asked and erased (GDPR Art. 7(1) and 17)",
        until="as long as this installation lives",
    ),
    Staying(
        what="lines of the erasure ledger, in ids, dates and keyed hashes",
        why="they keep a restored backup from bringing anybody back",
        until="as long as this installation lives",
    ),
)
FLEETING = frozenset({"certificate", "issued_at", "backups_until"})


async def issue(
    db: Db,
    settings: Settings,
    row: Account,
    *,
    keys: Sequence[str],
    rows: Mapping[str, int],
    verified: Sequence[str],
    reasons: Sequence[str],
    removed: Sequence[UUID] = (),
) -> str:
    """Its state, complete or partial. removed: members who go in this transaction, beside those of the log. A try that
    found nothing new issues no new paper."""
    now = await now_in(db)
    facts = AccountFacts(
        certificate=uuid4(),
        installation=f"{settings.platform_name} {settings.public_url}",
        account=row.account_id,
        asked_by=row.closing_asked_by or "",
        closed_at=row.closed_at or now,
        issued_at=now,
        backups_until=now.date() + timedelta(days=settings.backup_days),
        persons=await _persons(db),
        members_removed=sorted({*await members_removed(db), *removed}),
        keys=keys,
        rows=rows,
        stays=STAYS,
        verified=verified,
        reasons=reasons,
    )
    content = account_document(facts)
    last = await newest_paper(db)
    if last is None or _lasting(last.document) != _lasting(content):
        key = await asyncio.to_thread(signing_key, settings.data_dir)
        db.add(
            AccountCertificate(
                id=facts.certificate,
                account_id=AccountId(row.account_id),
                state=facts.state,
                document=content,
                signature=sign(content, key),
                public_key=public_bytes(key),
                issued_at=now,
            )
        )
    return facts.state


async def unfinished(db: Db) -> list[str]:
    """Why each erasure that stands open is not complete, as its own certificate says."""
    reasons = []
    for erasure in await db.scalars(select(Erasure).where(Erasure.state.in_(OPEN_STATES)).order_by(Erasure.receipt)):
        paper = await db.scalar(
            select(Certificate.document)
            .where(Certificate.erasure_id == erasure.id)
            .order_by(Certificate.issued_at.desc())
            .limit(1)
        )
        why = "; ".join(paper["not_verified"]) if paper else ""
        reasons.append(f"The erasure {erasure.receipt} is not complete ({erasure.state}){why and f': {why}'}")
    return reasons


async def _persons(db: Db) -> list[PersonPaper]:
    """The newest certificate of each erasure there ever was."""
    found = await db.stream(
        select(Certificate, Erasure)
        .distinct(Certificate.erasure_id)
        .join(Erasure, Erasure.id == Certificate.erasure_id)
        .order_by(Certificate.erasure_id, Certificate.issued_at.desc())
        .execution_options(yield_per=200)
    )
    papers = [
        PersonPaper(
            certificate=paper.id,
            erasure=erasure.id,
            receipt=erasure.receipt,
            person=erasure.person_id,
            state=paper.state,
            digest=digest(paper.document),
        )
        async for paper, erasure in found
    ]
    return sorted(papers, key=lambda paper: (paper.receipt, str(paper.erasure)))


async def members_removed(db: Db) -> list[UUID]:
    """As the log names them."""
    removed = select(AuditEvent.subject).where(AuditEvent.action == Action.MEMBER_REMOVED).distinct()
    return [UUID(subject.partition(":")[2]) for subject in await db.scalars(removed)]


def _lasting(content: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in content.items() if name not in FLEETING}
