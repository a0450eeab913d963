"""Pages of a study with its sessions, scheduling one, and notes. A session's own page stands with its invitations."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template
from sqlalchemy import select

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.database import Db, now_in
from app.forms import Form, read_form
from app.pages import page
from app.sessions import note_routes, response_routes
from app.sessions.forms import read_session, time_zones
from app.sessions.models import Session
from app.sessions.overview import coming_sessions, sessions_of_account, sessions_of_study
from app.sessions.service import schedule
from app.studies.clocks import Ending
from app.studies.forms import LANGUAGES
from app.studies.questions import questions_of_study
from app.studies.service import contact_of, find_study, study_with_text
from app.studies.tallies import tallies_of_study
from app.wiring import Wiring

PAGE_ROWS = 50
FIRST_ZONE = "Europe/Berlin"  # of an account's first session


@get("/sessions")
async def show_sessions(
    request: Request[Any, Any, Any],
    db: Db,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
    show: Literal["coming"] | None = None,
) -> Template:
    """All of them, or those that are coming."""
    require_member(login)
    offset = (number - 1) * PAGE_ROWS
    if show:
        lines = await coming_sessions(db, now=await now_in(db), limit=PAGE_ROWS + 1, offset=offset)
    else:
        lines = await sessions_of_account(db, limit=PAGE_ROWS + 1, offset=offset)
    more = len(lines) > PAGE_ROWS
    return page(
        "sessions/list.html", request, sessions=lines[:PAGE_ROWS], number=number, more=more, coming=show is not None
    )


@get("/studies/{study:uuid}")
async def show_study(
    request: Request[Any, Any, Any],
    db: Db,
    wiring: Wiring,
    login: Login,
    study: UUID,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    member = require_member(login)
    row, consent = await study_with_text(db, study)
    sessions = await sessions_of_study(db, row, limit=PAGE_ROWS + 1, offset=(number - 1) * PAGE_ROWS)
    return page(
        "studies/show.html",
        request,
        study=row,
        owner=member.role is Role.OWNER,
        tallies=await tallies_of_study(db, study) if row.ending == Ending.ANONYMISE else (),
        contact=contact_of(wiring.columns, row),
        consent=consent,
        language=LANGUAGES.get(row.language, row.language),
        questions=await questions_of_study(db, study),
        sessions=sessions[:PAGE_ROWS],
        number=number,
        more=len(sessions) > PAGE_ROWS,
        may_change=member.role in (Role.OWNER, Role.RESEARCHER),
    )


async def zone_of_last_session(db: Db) -> str | None:
    """Of this account: whoever plans a session plans it where the last one was."""
    return await db.scalar(select(Session.time_zone).order_by(Session.created_at.desc()).limit(1))


@get("/studies/{study:uuid}/sessions/new")
async def show_new(request: Request[Any, Any, Any], db: Db, login: Login, study: UUID) -> Template:
    require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_study(db, study)
    form = Form(values={"time_zone": await zone_of_last_session(db) or FIRST_ZONE})
    return page("sessions/new.html", request, study=row, form=form, zones=time_zones())


@post("/studies/{study:uuid}/sessions")
async def create(request: Request[Any, Any, Any], db: Db, login: Login, study: UUID) -> Template | Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_study(db, study)
    form = await read_form(request)
    typed = read_session(form)
    if typed is None:
        return page("sessions/new.html", request, status=422, study=row, form=form, zones=time_zones())
    session = await schedule(
        db,
        account=member.account,
        study=study,
        title=typed.title,
        starts_at=typed.starts_at,
        time_zone=typed.time_zone,
        group=typed.group,
        by=member.actor,
    )
    return Redirect(f"/sessions/{session}", status_code=303)


router = Router(
    "/", route_handlers=[show_sessions, show_study, show_new, create, *note_routes.handlers, *response_routes.handlers]
)
