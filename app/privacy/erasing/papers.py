"""An erasure's paper, as owners and participants read it: the newest certificate, its page and its file."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.response import Template
from sqlalchemy import select

from app.database import Db, now_in
from app.errors import NotThere
from app.language import N_
from app.pages import page
from app.privacy.erasing.certificate import certificate_file, key_fingerprint
from app.privacy.erasing.lifeline import lifeline
from app.privacy.records.models import Certificate, Erasure

TRANSLATED = (
    *(
        N_("Recordings"),
        N_("Tracks"),
        N_("Transcripts"),
        N_("Answers"),
        N_("Notes"),
        N_("Contact"),
        N_("Mails"),
        N_("Codes"),
    ),
    *(N_("Invitations"), N_("camera"), N_("voice"), N_("screen"), N_("screen sound"), N_("transcript")),
    *(N_("video"), N_("audio"), N_("answers")),
)
"""What a certificate counts and the kinds it names; its page and My data show them in the reader's language."""


async def find_erasure(db: Db, erasure: UUID) -> Erasure:
    """The erasure of this account. Raises NotThere."""
    row = await db.get(Erasure, erasure)
    if row is None:
        raise NotThere
    return row


async def newest_certificate(db: Db, erasure: Erasure) -> Certificate | None:
    papers = select(Certificate).where(Certificate.erasure_id == erasure.id)
    return await db.scalar(papers.order_by(Certificate.issued_at.desc()).limit(1))


async def certificate_page(
    request: Request[Any, Any, Any],
    db: Db,
    template: str,
    erasure: Erasure,
    *,
    file: str,
    **foot: Any,
) -> Template:
    """foot: contact and notice_date, for a participant."""
    certificate = await newest_certificate(db, erasure)
    return page(
        template,
        request,
        erasure=erasure,
        certificate=certificate,
        fingerprint=key_fingerprint(certificate.public_key) if certificate else "",
        life=lifeline([(N_("asked"), erasure.asked_at)], await now_in(db), ends_at=erasure.finished_at),
        file=file,
        **foot,
    )


async def download(db: Db, erasure: Erasure) -> Response[bytes]:
    certificate = await newest_certificate(db, erasure)
    if certificate is None:
        raise NotThere
    return Response(
        certificate_file(certificate.document, certificate.signature, certificate.public_key),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="erasure-{erasure.receipt}.json"'},
    )
