"""The paper of a closed account, for whoever holds its link: ids and numbers only, so that it needs no sign-in and is
there when nobody can sign in any more."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, Router, get
from litestar.response import Template
from sqlalchemy import func, select

from app.accounts.login import SignedIn
from app.accounts.models import Account
from app.database import Db, set_account
from app.errors import NotThere
from app.pages import AnyRequest, page
from app.participants.models import Participant
from app.privacy.erasing.certificate import certificate_file, key_fingerprint, signing_key
from app.privacy.erasing.policy import OPEN_STATES
from app.privacy.erasing.receipts import read_receipt_token, receipt_token
from app.privacy.records.models import AccountCertificate, Erasure, ErasureReason, ErasureState
from app.settings import Settings
from app.wiring import Wiring
from recordings.model import AccountId


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a closed account is: people not yet erased; erasures that its closing began or found unfinished, and how
    many of these are complete."""

    people: int
    complete: int
    erasures: int


async def newest_paper(db: Db) -> AccountCertificate | None:
    """Of the account of this transaction."""
    return await db.scalar(select(AccountCertificate).order_by(AccountCertificate.issued_at.desc()).limit(1))


async def progress(db: Db) -> Progress:
    began = Erasure.reason == ErasureReason.CLOSED
    erasures = select(func.count()).select_from(Erasure)
    people = select(func.count()).select_from(Participant).where(Participant.erased_at.is_(None))
    return Progress(
        people=await db.scalar(people) or 0,
        complete=await db.scalar(erasures.where(began, Erasure.state == ErasureState.COMPLETE)) or 0,
        erasures=await db.scalar(erasures.where(began | Erasure.state.in_(OPEN_STATES))) or 0,
    )


def closed_path(settings: Settings, account: AccountId) -> str:
    """Where the paper of an account stands, also when the account is gone; unguessable, as receipts are."""
    return f"/closed/{receipt_token(signing_key(settings.data_dir), account, account)}"


@dataclass(frozen=True, kw_only=True)
class ToldOfClosing:
    """What an owner of a closed account sees above the erasures. link: to its certificate."""

    progress: Progress
    link: str


async def told_of_closing(db: Db, settings: Settings, owner: SignedIn) -> ToldOfClosing | None:
    """None while the account is open."""
    if not owner.account_closed:
        return None
    return ToldOfClosing(progress=await progress(db), link=closed_path(settings, owner.account))


@get("/closed/{token:str}")
async def show_closed(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """How far it is, and the certificate."""
    row = await account_of_link(db, wiring, token)
    paper = await newest_paper(db)
    return page(
        "privacy/closed.html",
        request,
        gone=row.gone_at is not None,
        closed_at=row.closed_at,
        progress=await progress(db),
        certificate=paper,
        fingerprint=key_fingerprint(paper.public_key) if paper else "",
        file=f"/closed/{token}/certificate.json",
    )


@get("/closed/{token:str}/certificate.json")
async def download_closed(db: Db, wiring: Wiring, token: str) -> Response[bytes]:
    row = await account_of_link(db, wiring, token)
    paper = await newest_paper(db)
    if paper is None:
        raise NotThere
    return Response(
        certificate_file(paper.document, paper.signature, paper.public_key),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="account-{row.account_id}.json"'},
    )


async def account_of_link(db: Db, wiring: Wiring, token: str) -> Account:
    """Sets the account. Raises NotThere for a link that was not made here, and while the account is not closed."""
    found = read_receipt_token(signing_key(wiring.settings.data_dir), token)
    if found is None or found[0] != found[1]:
        raise NotThere
    await set_account(db, found[0])
    row = await db.get(Account, found[0])
    if row is None or row.closed_at is None:
        raise NotThere
    return row


router = Router("/", route_handlers=[show_closed, download_closed])
