"""The moment of a session on its own page: move it, cancel it, switch its reminder."""

from __future__ import annotations

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.database import Db
from app.errors import BadInput
from app.forms import Form, read_form
from app.invitations.accepted import count_accepted, keep_links_open
from app.invitations.session_mail_policy import SessionMail
from app.invitations.session_mails import tell_participants
from app.pages import page
from app.sessions.forms import read_moment, time_zones
from app.sessions.models import Session
from app.sessions.moving import CannotMove, cancel, move, switch_reminder
from app.sessions.service import session_with_study
from app.wiring import Wiring


@get("/sessions/{session:uuid}/moment")
async def show_moment(request: Request[Any, Any, Any], db: Db, login: Login, session: UUID) -> Template:
    require_member(login, Role.OWNER, Role.RESEARCHER)
    row, _study = await session_with_study(db, session)
    return await _moment_page(request, db, session, Form(values=_as_typed(row)))


@post("/sessions/{session:uuid}/moment")
async def move_session(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, session: UUID
) -> Template | Redirect:
    """Everybody who registered gets the new time with a new calendar file."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    await session_with_study(db, session)
    form = await read_form(request)
    typed = read_moment(form)
    if typed is None:
        return await _moment_page(request, db, session, form, status=422)
    try:
        moved = await move(db, session=session, starts_at=typed.starts_at, time_zone=typed.time_zone, by=member.actor)
    except CannotMove as error:
        form.errors["starts_at"] = error.message
        return await _moment_page(request, db, session, form, status=409)
    if moved is not None:
        await keep_links_open(db, moved)
        await tell_participants(db, wiring, session=session, mail=SessionMail.MOVED)
    return Redirect(f"/sessions/{session}", status_code=303)


@post("/sessions/{session:uuid}/cancel")
async def cancel_session(db: Db, wiring: Wiring, login: Login, session: UUID) -> Redirect:
    """It ends before it began; everybody who registered is told once."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    await cancel(db, session=session, by=member.actor)
    await tell_participants(db, wiring, session=session, mail=SessionMail.CANCELLED)
    return Redirect(f"/sessions/{session}", status_code=303)


@post("/sessions/{session:uuid}/reminder")
async def switch_session_reminder(request: Request[Any, Any, Any], db: Db, login: Login, session: UUID) -> Redirect:
    """on: yes or no."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    wanted = (await read_form(request)).values.get("on")
    if wanted not in ("yes", "no"):
        raise BadInput("Please say whether participants are reminded: yes or no.")
    await switch_reminder(db, session=session, on=wanted == "yes", by=member.actor)
    return Redirect(f"/sessions/{session}", status_code=303)


async def _moment_page(
    request: Request[Any, Any, Any], db: Db, session: UUID, form: Form, status: int = 200
) -> Template:
    row, study = await session_with_study(db, session)
    return page(
        "invitations/moment.html",
        request,
        status=status,
        session=row,
        study=study,
        form=form,
        zones=time_zones(),
        registered=await count_accepted(db, session),
    )


def _as_typed(row: Session) -> dict[str, str]:
    at = row.starts_at.astimezone(ZoneInfo(row.time_zone)) if row.starts_at else None
    return {"starts_at": f"{at:%Y-%m-%dT%H:%M}" if at else "", "time_zone": row.time_zone}


handlers = [show_moment, move_session, cancel_session, switch_session_reminder]
