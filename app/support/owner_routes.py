"""The owner's page: who of the platform asked to look at what, what was granted, and everything that was read."""

from __future__ import annotations

from uuid import UUID

from litestar import get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.database import Db
from app.forms import Form, read_form
from app.pages import AnyRequest, page
from app.support.forms import read_minutes
from app.support.listing import for_owner
from app.support.policy import MINUTES
from app.support.requests import grant, let_second_operator, refuse, revoke, second_operator
from app.wiring import Wiring

PAGE = "/support-access"


@get(PAGE)
async def show_requests(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    return await _page(request, db, wiring, require_member(login, Role.OWNER), Form())


@post("/support-access/{support:uuid}/grant")
async def grant_request(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, support: UUID
) -> Template | Redirect:
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    minutes = read_minutes(form)
    if minutes is None:
        return await _page(request, db, wiring, owner, form, status=422)
    await grant(db, wiring, request=support, minutes=minutes, by=owner.actor)
    return Redirect(PAGE, status_code=303)


@post("/support-access/{support:uuid}/refuse")
async def refuse_request(db: Db, wiring: Wiring, login: Login, support: UUID) -> Redirect:
    await refuse(db, wiring, request=support, by=require_member(login, Role.OWNER).actor)
    return Redirect(PAGE, status_code=303)


@post("/support-access/{support:uuid}/revoke")
async def revoke_grant(db: Db, login: Login, support: UUID) -> Redirect:
    await revoke(db, request=support, by=require_member(login, Role.OWNER).actor)
    return Redirect(PAGE, status_code=303)


@post("/support-access/second-operator")
async def set_second_operator(request: AnyRequest, db: Db, login: Login) -> Redirect:
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    await let_second_operator(db, account=owner.account, allowed=form.ticked("second_operator"), by=owner.actor)
    return Redirect(PAGE, status_code=303)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, owner: SignedIn, form: Form, status: int = 200
) -> Template:
    return page(
        "support/owner.html",
        request,
        status=status,
        account=owner.account,
        lines=await for_owner(db, wiring.columns),
        second_operator=await second_operator(db),
        minutes=MINUTES,
        form=form,
    )


handlers = [show_requests, grant_request, refuse_request, revoke_grant, set_second_operator]
