"""Pages of erasing for the owner: the list of erasures with their certificates, and the buttons with which a
recording or a session is erased."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template
from sqlalchemy import select

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.accounts.reads import Listed, note_shown
from app.accounts.service import member_names
from app.database import Db, now_in
from app.errors import Conflict, NotThere
from app.pages import AnyRequest, page
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.privacy.erasing.account_papers import told_of_closing
from app.privacy.erasing.erasures import erasures
from app.privacy.erasing.papers import certificate_page, download, find_erasure
from app.privacy.erasing.service import ask_erasure
from app.privacy.records.models import Erasure, ErasureReason
from app.sessions.models import Recording, RecordingState, Session, SessionState
from app.sessions.notes import count_notes, erase_notes
from app.sessions.policy import is_held
from app.sessions.responses import responses_of_session
from app.sessions.service import find_session, recording_facts
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

PAGE_ROWS = 50
RESTRICTED = (
    "A participant asked to keep this and not to show it (GDPR Art. 18). Lift the restriction under Requests first; "
    "then it can be erased."
)


@get("/erasures")
async def list_erasures(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    owner = require_member(login, Role.OWNER)
    await note_shown(db, owner, Listed.ERASURES)
    lines = await erasures(db, wiring.columns, limit=PAGE_ROWS + 1, offset=(number - 1) * PAGE_ROWS)
    return page(
        "privacy/erasures.html",
        request,
        erasures=lines[:PAGE_ROWS],
        number=number,
        more=len(lines) > PAGE_ROWS,
        closed=await told_of_closing(db, wiring.settings, owner),
    )


@get("/erasures/{erasure:uuid}")
async def show_erasure(request: AnyRequest, db: Db, login: Login, erasure: UUID) -> Template:
    require_member(login, Role.OWNER)
    return await certificate_page(
        request,
        db,
        "privacy/certificate.html",
        await find_erasure(db, erasure),
        file=f"/erasures/{erasure}/certificate.json",
    )


@get("/erasures/{erasure:uuid}/certificate.json")
async def download_certificate(db: Db, login: Login, erasure: UUID) -> Response[bytes]:
    require_member(login, Role.OWNER)
    return await download(db, await find_erasure(db, erasure))


@get("/recordings/{recording:uuid}/erase")
async def confirm_erase_recording(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID
) -> Template:
    owner = require_member(login, Role.OWNER)
    row = await _recording(db, recording)
    await note_shown(db, owner, f"recording:{recording}")
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
    if row.restricted_at is not None:
        raise Conflict(RESTRICTED)
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
        answered=len(await responses_of_session(db, session=session)),
        held=await _holds(db, row),
        live=row.state == SessionState.LIVE,
    )


@post("/sessions/{session:uuid}/erase")
async def erase_session(db: Db, login: Login, session: UUID) -> Redirect:
    """All recordings of a session that is over, and what was answered after it; one erasure, and so one
    certificate, per person. Its notes go at once, unless a hold keeps a recording they may belong to."""
    owner = require_member(login, Role.OWNER)
    row = await find_session(db, session)
    await db.refresh(row, with_for_update=True)  # answers that are being saved right now go too
    if row.state == SessionState.LIVE:
        raise Conflict("The session is still going on. End it first, then erase its recordings.")
    people: dict[UUID, list[UUID]] = defaultdict(list)
    for recording in await _recordings_of(db, row):
        if recording.restricted_at is not None:
            raise Conflict(RESTRICTED)
        people[recording.person_id].append(recording.id)
    answers: dict[UUID, list[UUID]] = defaultdict(list)
    for response in await responses_of_session(db, session=session):
        if response.restricted_at is not None:
            raise Conflict(RESTRICTED)
        answers[response.participant_id].append(response.id)
    asked = {**people, **answers}
    for person in asked:
        instruction = f"owner erased session {session}"
        await _ask(db, owner, PersonId(person), people.get(person, []), instruction, answers.get(person, []))
    if not await _holds(db, row):
        await erase_notes(db, session=row, by=owner.actor)
    return Redirect("/erasures" if asked else f"/sessions/{session}", status_code=303)


async def _ask(
    db: Db,
    owner: SignedIn,
    person: PersonId,
    recordings: list[UUID],
    instruction: str,
    responses: Collection[UUID] = (),
) -> Erasure:
    return await ask_erasure(
        db,
        account=owner.account,
        person=person,
        reason=ErasureReason.OWNER,
        asked_by=owner.actor,
        instruction=instruction,
        recordings=recordings,
        responses=responses,
    )


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


async def _participant_name(db: Db, wiring: Wiring, owner: SignedIn, person: UUID) -> str:
    """A participant's first name, "" once erased; or a member's name."""
    row = await db.get(Participant, person)
    if row is None or row.name is None:
        return (await member_names(db, wiring.columns)).get(PersonId(person), "")
    return wiring.columns.open(AccountId(owner.account), PersonId(person), NAME_FIELD, row.name)


router = Router(
    "/",
    route_handlers=[
        list_erasures,
        show_erasure,
        download_certificate,
        confirm_erase_recording,
        erase_recording,
        confirm_erase_session,
        erase_session,
    ],
)
