"""The page of a session with its people; inviting and revoking."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.response import Redirect, Template

from app.accounts.agreement import agreement_stands
from app.accounts.assignments import team_of
from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.accounts.reads import note_shown
from app.accounts.service import member_names
from app.database import Db, now_in
from app.errors import Conflict
from app.forms import Form, read_form
from app.invitations import list_routes, moment_routes, stop_routes, team_routes
from app.invitations.forms import read_invitation
from app.invitations.guests import guests_of
from app.invitations.service import count_against_limit, invite, revoke
from app.pages import page
from app.sessions.listing import recordings_of_session
from app.sessions.models import SessionState
from app.sessions.next_step import next_step
from app.sessions.reminder import reminder_line
from app.sessions.service import find_session, session_with_study
from app.wiring import Wiring
from recordings.model import PersonId


@get("/sessions/{session:uuid}")
async def show_session(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, session: UUID
) -> Template:
    return await _session_page(request, db, wiring, require_member(login), session, Form())


@post("/sessions/{session:uuid}/invitations")
async def create_invitation(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, session: UUID
) -> Template | Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    assert member.member is not None
    await find_session(db, session)
    form = await read_form(request)
    typed = read_invitation(form)
    if typed is None:
        return await _session_page(request, db, wiring, member, session, form, status=422)
    try:
        await invite(
            db,
            wiring,
            account=member.account,
            session=session,
            name=typed.name,
            email=typed.email,
            words=typed.words,
            by=member.member,
        )
        await count_against_limit(db, wiring, account=member.account, people=1)
    except Conflict as error:
        form.errors["email"] = error.message
        return await _session_page(request, db, wiring, member, session, form, status=409)
    return Redirect(f"/sessions/{session}#people", status_code=303)


@post("/sessions/{session:uuid}/invitations/{invitation:uuid}/revoke")
async def revoke_invitation(db: Db, wiring: Wiring, login: Login, session: UUID, invitation: UUID) -> Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    await revoke(db, session=session, invitation=invitation, by=member.actor)
    return Redirect(f"/sessions/{session}#people", status_code=303)


async def _session_page(
    request: Request[Any, Any, Any],
    db: Db,
    wiring: Wiring,
    member: SignedIn,
    session: UUID,
    form: Form,
    status: int = 200,
) -> Template:
    row, study = await session_with_study(db, session)
    await note_shown(db, member, f"session:{session}")
    guests = await guests_of(db, wiring.columns, member.account, session)
    names = {PersonId(guest.person): guest.name for guest in guests}
    shown = [guest for guest in guests if guest.state != "erased"]
    listing = await recordings_of_session(db, row, study, names, lambda: member_names(db, wiring.columns))
    return page(
        "sessions/show.html",
        request,
        status=status,
        study=study,
        session=row,
        guests=shown,
        full=not row.group and any(guest.revocable for guest in shown),
        listing=listing,
        next_step=next_step(row, listing, invited=len(shown)),
        form=form,
        may_change=member.role in (Role.OWNER, Role.RESEARCHER),
        agreed=row.state == SessionState.ENDED or await agreement_stands(db),
        team=await team_of(db, wiring.columns, session) if study.assigned_only else [],
        reminder=reminder_line(row, study.reminder, await now_in(db)),
    )


router = Router(
    "/",
    route_handlers=[
        show_session,
        create_invitation,
        revoke_invitation,
        *list_routes.handlers,
        *team_routes.handlers,
        *moment_routes.handlers,
        *stop_routes.handlers,
    ],
)
