"""The owner's inbox of participants' requests: what waits, until when, and answering with words."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.accounts.service import member_names
from app.database import Db, now_in
from app.forms import Form, read_form
from app.pages import AnyRequest, page
from app.privacy.rights.extending import extend
from app.privacy.rights.inbox import inbox, lines_of, text_of
from app.privacy.rights.requests import answer, find_request, lift
from app.wiring import Wiring
from recordings.model import PersonId

PAGE_ROWS = 50
ANSWER_LENGTH = 5_000
OUTCOMES = ("granted", "refused")


@get("/requests")
async def show_requests(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    require_member(login, Role.OWNER)
    lines = await inbox(db, wiring.columns, await now_in(db), limit=PAGE_ROWS + 1, offset=(number - 1) * PAGE_ROWS)
    return page(
        "privacy/requests.html", request, requests=lines[:PAGE_ROWS], number=number, more=len(lines) > PAGE_ROWS
    )


@get("/requests/{data_request:uuid}")
async def show_request(request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID) -> Template:
    require_member(login, Role.OWNER)
    return await _page(request, db, wiring, data_request, Form())


@post("/requests/{data_request:uuid}/answer")
async def answer_request(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Template | Redirect:
    """Granted or refused, with words that are mailed to the participant."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    outcome, words = form.choice("outcome", OUTCOMES), form.text("words", length=ANSWER_LENGTH)
    await find_request(db, data_request)
    if not form.fine:
        return await _page(request, db, wiring, data_request, form, status=422)
    await answer(db, wiring, request=data_request, granted=outcome == "granted", words=words, by=owner.as_member)
    return Redirect(f"/requests/{data_request}", status_code=303)


@post("/requests/{data_request:uuid}/extend")
async def extend_request(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Template | Redirect:
    """Two more months, with a reason that is mailed to the participant."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    why = form.text("why", length=ANSWER_LENGTH)
    await find_request(db, data_request)
    if not form.fine:
        return await _page(request, db, wiring, data_request, form, status=422)
    await extend(db, wiring, request=data_request, words=why, by=owner.as_member)
    return Redirect(f"/requests/{data_request}", status_code=303)


@post("/requests/{data_request:uuid}/lift")
async def lift_restriction(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Template | Redirect:
    """The participant is told first; the restriction ends when that mail is sent."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    words = form.text("words", length=ANSWER_LENGTH)
    await find_request(db, data_request)
    if not form.fine:
        return await _page(request, db, wiring, data_request, form, status=422)
    await lift(db, wiring, request=data_request, words=words, by=owner.as_member)
    return Redirect(f"/requests/{data_request}", status_code=303)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, data_request: UUID, form: Form, *, status: int = 200
) -> Template:
    row = await find_request(db, data_request)
    [line] = await lines_of(db, wiring.columns, [row], await now_in(db))
    names = await member_names(db, wiring.columns) if row.answered_by or row.noted_by else {}
    return page(
        "privacy/request.html",
        request,
        status=status,
        line=line,
        text=text_of(wiring.columns, row),
        answered_by=names.get(PersonId(row.answered_by), "") if row.answered_by else "",
        noted_by=names.get(PersonId(row.noted_by), "") if row.noted_by else "",
        form=form,
    )


router = Router("/", route_handlers=[show_requests, show_request, answer_request, extend_request, lift_restriction])
