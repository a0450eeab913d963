"""Pages of erasing: receipts for participants, the list of erasures and certificates for owners, and the
buttons with which an owner erases a recording or a session. `routers` is everything of this folder."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.response import Redirect, Template
from sqlalchemy import select

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.database import Db, now_in, set_account
from app.errors import Conflict, NotThere
from app.invitations.models import Invitation
from app.pages import page
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.privacy import my_data, take_part
from app.privacy.certificate import certificate_file, key_fingerprint, signing_key
from app.privacy.lifeline import lifeline
from app.privacy.models import Certificate, Erasure, ErasureReason
from app.privacy.receipts import read_receipt_token
from app.privacy.service import ask_erasure
from app.sessions.models import Recording, RecordingState, Session, SessionState
from app.sessions.notes import count_notes, erase_notes
from app.sessions.policy import is_held
from app.sessions.service import find_session, recording_facts
from app.studies.service import Contact, contact_of, find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

AnyRequest = Request[Any, Any, Any]


@get("/receipt/{token:str}")
async def show_receipt(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """For whoever asked: how far it is, and the certificate. Ids and counts only, so that no sign-in is needed."""
    erasure = await _of_receipt(db, wiring, token)
    return await _certificate_page(
        request,
        db,
        "privacy/receipt.html",
        erasure,
        file=f"/receipt/{token}/certificate.json",
        contact=await _contact(db, wiring, erasure),
    )


@get("/receipt/{token:str}/certificate.json")
async def download_receipt(db: Db, wiring: Wiring, token: str) -> Response[bytes]:
    return await _download(db, await _of_receipt(db, wiring, token))


@get("/erasures")
async def list_erasures(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    owner = require_member(login, Role.OWNER)
    rows = (await db.scalars(select(Erasure).order_by(Erasure.asked_at.desc()).limit(200))).all()
    return page("privacy/erasures.html", request, erasures=[(row, await _name(db, wiring, owner, row)) for row in rows])


@get("/erasures/{erasure:uuid}")
async def show_erasure(request: AnyRequest, db: Db, login: Login, erasure: UUID) -> Template:
    require_member(login, Role.OWNER)
    return await _certificate_page(
        request,
        db,
        "privacy/certificate.html",
        await _erasure(db, erasure),
        file=f"/erasures/{erasure}/certificate.json",
    )


@get("/erasures/{erasure:uuid}/certificate.json")
async def download_certificate(db: Db, login: Login, erasure: UUID) -> Response[bytes]:
    require_member(login, Role.OWNER)
    return await _download(db, await _erasure(db, erasure))


@get("/recordings/{recording:uuid}/erase")
async def confirm_erase_recording(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID
) -> Template:
    owner = require_member(login, Role.OWNER)
    row = await _recording(db, recording)
    session = await find_session(db, row.session_id)
    return page(
        "privacy/erase_recording.html",
        request,
        recording=row,
        session=session,
        study=await find_study(db, session.study_id),
        name=await _participant_name(db, wiring, owner, row.person_id),
        held=is_held(recording_facts(row, session), await now_in(db)),
    )


@post("/recordings/{recording:uuid}/erase")
async def erase_recording(db: Db, login: Login, recording: UUID) -> Redirect:
    owner = require_member(login, Role.OWNER)
    row = await _recording(db, recording)
    erasure = await _ask(db, owner, PersonId(row.person_id), [row.id], "owner erased one recording")
    return Redirect(f"/erasures/{erasure.id}", status_code=303)


@get("/sessions/{session:uuid}/erase")
async def confirm_erase_session(request: AnyRequest, db: Db, login: Login, session: UUID) -> Template:
    require_member(login, Role.OWNER)
    row = await find_session(db, session)
    return page(
        "privacy/erase_session.html",
        request,
        session=row,
        study=await find_study(db, row.study_id),
        count=len(await _recordings_of(db, row)),
        notes=await count_notes(db, session=session),
        held=await _holds(db, row),
        live=row.state == SessionState.LIVE,
    )


@post("/sessions/{session:uuid}/erase")
async def erase_session(db: Db, login: Login, session: UUID) -> Redirect:
    """All recordings of a session that is over; one erasure, and so one certificate, per person. Its notes go
    at once, unless a hold keeps a recording they may belong to."""
    owner = require_member(login, Role.OWNER)
    row = await find_session(db, session)
    if row.state == SessionState.LIVE:
        raise Conflict("The session is still going on. End it first, then erase its recordings.")
    people: dict[UUID, list[UUID]] = defaultdict(list)
    for recording in await _recordings_of(db, row):
        people[recording.person_id].append(recording.id)
    for person, recordings in people.items():
        await _ask(db, owner, PersonId(person), recordings, f"owner erased session {session}")
    if not await _holds(db, row):
        await erase_notes(db, session=row, by=owner.actor)
    return Redirect("/erasures" if people else f"/sessions/{session}", status_code=303)


async def _ask(db: Db, owner: SignedIn, person: PersonId, recordings: list[UUID], instruction: str) -> Erasure:
    return await ask_erasure(
        db,
        account=owner.account,
        person=person,
        reason=ErasureReason.OWNER,
        asked_by=owner.actor,
        instruction=instruction,
        recordings=recordings,
    )


async def _of_receipt(db: Db, wiring: Wiring, token: str) -> Erasure:
    """Sets the account. Raises NotThere for a link that was not made here."""
    found = read_receipt_token(signing_key(wiring.settings.data_dir), token)
    if found is None:
        raise NotThere
    await set_account(db, found[0])
    return await _erasure(db, found[1])


async def _erasure(db: Db, erasure: UUID) -> Erasure:
    row = await db.get(Erasure, erasure)
    if row is None:
        raise NotThere
    return row


async def _recording(db: Db, recording: UUID) -> Recording:
    row = await db.get(Recording, recording)
    if row is None or row.erased_at is not None:
        raise NotThere
    return row


async def _recordings_of(db: Db, session: Session) -> list[Recording]:
    found = select(Recording).where(Recording.session_id == session.id, Recording.state != RecordingState.ERASED)
    return list(await db.scalars(found))


async def _holds(db: Db, session: Session) -> bool:
    """Whether a hold keeps any recording of the session."""
    now = await now_in(db)
    return any(is_held(recording_facts(row, session), now) for row in await _recordings_of(db, session))


async def _newest(db: Db, erasure: Erasure) -> Certificate | None:
    papers = select(Certificate).where(Certificate.erasure_id == erasure.id)
    return await db.scalar(papers.order_by(Certificate.issued_at.desc()).limit(1))


async def _contact(db: Db, wiring: Wiring, erasure: Erasure) -> Contact | None:
    """Whom the person can still ask: the contact of the study they were last invited to."""
    invited = select(Invitation.session_id).where(Invitation.participant_id == erasure.person_id)
    session = await db.scalar(invited.order_by(Invitation.created_at.desc()).limit(1))
    if session is None:
        return None
    return contact_of(wiring.columns, await find_study(db, (await find_session(db, session)).study_id))


async def _certificate_page(
    request: AnyRequest, db: Db, template: str, erasure: Erasure, *, file: str, contact: Contact | None = None
) -> Template:
    certificate = await _newest(db, erasure)
    return page(
        template,
        request,
        erasure=erasure,
        certificate=certificate,
        fingerprint=key_fingerprint(certificate.public_key) if certificate else "",
        life=lifeline([("asked", erasure.asked_at)], await now_in(db), ends_at=erasure.finished_at),
        file=file,
        contact=contact,
    )


async def _download(db: Db, erasure: Erasure) -> Response[bytes]:
    certificate = await _newest(db, erasure)
    if certificate is None:
        raise NotThere
    return Response(
        certificate_file(certificate.document, certificate.signature, certificate.public_key),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="erasure-{erasure.receipt}.json"'},
    )


async def _name(db: Db, wiring: Wiring, owner: SignedIn, erasure: Erasure) -> str:
    return await _participant_name(db, wiring, owner, erasure.person_id)


async def _participant_name(db: Db, wiring: Wiring, owner: SignedIn, person: UUID) -> str:
    """Their first name; "" once erased, or for a member's own recording."""
    row = await db.get(Participant, person)
    if row is None or row.name is None:
        return ""
    return wiring.columns.open(AccountId(owner.account), PersonId(person), NAME_FIELD, row.name)


router = Router(
    "/",
    route_handlers=[
        show_receipt,
        download_receipt,
        list_erasures,
        show_erasure,
        download_certificate,
        confirm_erase_recording,
        erase_recording,
        confirm_erase_session,
        erase_session,
    ],
)
routers = (take_part.router, my_data.router, router)
