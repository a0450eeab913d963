"""Receipts of erasures, for participants: ids and counts only, so that the link needs no sign-in."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, get
from litestar.response import Template
from sqlalchemy import select

from app.accounts.models import Account
from app.database import Db, set_account
from app.errors import NotThere
from app.invitations.models import Invitation
from app.language import reader
from app.pages import FOR_PARTICIPANTS, AnyRequest
from app.participants.service import foot
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.papers import certificate_page, download, find_erasure
from app.privacy.erasing.receipts import read_receipt_token
from app.privacy.records.grounds import OF_HOLDS, WORDS
from app.privacy.records.models import Erasure, ErasureState
from app.sessions.models import HoldReason, Recording
from app.sessions.service import find_session
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId


@get("/receipt/{token:str}")
async def show_receipt(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """For whoever asked: how far it is, and the certificate. Ids and counts only, so that no sign-in is needed."""
    erasure = await _of_receipt(db, wiring, token)
    return await certificate_page(
        request,
        db,
        "privacy/receipt.html",
        erasure,
        file=f"/receipt/{token}/certificate.json",
        kept_because=await kept_because(db, erasure),
        **await _foot(db, wiring, erasure),
    )


@get("/receipt/{token:str}/certificate.json")
async def download_receipt(db: Db, wiring: Wiring, token: str) -> Response[bytes]:
    return await download(db, await _of_receipt(db, wiring, token))


async def kept_because(db: Db, erasure: Erasure) -> list[str]:
    """What is refused of an erasure is what a hold keeps: its reasons by the law (Art. 17(3)), marked for
    translation."""
    if erasure.state != ErasureState.HELD:
        return []
    held = select(Recording.held_reason).where(
        Recording.person_id == erasure.person_id, Recording.held_reason.is_not(None), Recording.erased_at.is_(None)
    )
    if erasure.recording_ids is not None:
        held = held.where(Recording.id.in_(erasure.recording_ids))
    found = {OF_HOLDS[HoldReason(reason)] for reason in await db.scalars(held.distinct()) if reason}
    return [WORDS[ground] for ground in sorted(found)]


async def _of_receipt(db: Db, wiring: Wiring, token: str) -> Erasure:
    """Sets the account. Raises NotThere for a link that was not made here."""
    found = read_receipt_token(signing_key(wiring.settings.data_dir), token)
    if found is None:
        raise NotThere
    await set_account(db, found[0])
    return await find_erasure(db, found[1])


async def _foot(db: Db, wiring: Wiring, erasure: Erasure) -> dict[str, Any]:
    """Whom the person can still ask, and the notice: of the study they were last invited to."""
    invited = select(Invitation.session_id).where(Invitation.participant_id == erasure.person_id)
    session = await db.scalar(invited.order_by(Invitation.created_at.desc()).limit(1))
    if session is None or await db.scalar(select(Account.gone_at)) is not None:
        return {}
    study = await find_study(db, (await find_session(db, session)).study_id)
    reader().study = study.language
    told = await foot(db, wiring, account=AccountId(erasure.account_id), study=study)
    return {"contact": told.contact, "notice_date": told.notice_date}


router = Router("/", route_handlers=[show_receipt, download_receipt], opt=FOR_PARTICIPANTS)
