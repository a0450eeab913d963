"""Signing in, with the pages of members. GET never changes anything: mail scanners open every link."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Redirect, Template

from app.accounts import agreement_routes, member_routes, passkey_routes
from app.accounts.ceremonies import site_of
from app.accounts.login import Login, start_login
from app.accounts.models import Scope, Way
from app.accounts.passkeys import needs_passkey
from app.accounts.policy import safe_next
from app.accounts.service import ask_sign_in, use_link
from app.database import Db
from app.forms import Form, read_form
from app.pages import page
from app.wiring import Wiring


@get("/sign-in")
async def show_sign_in(
    request: Request[Any, Any, Any], wiring: Wiring, login: Login, next: str = "/", again: str = ""
) -> Template | Redirect:
    """again: somebody who is signed in shows once more who they are."""
    if login is not None and login.member is not None and not again:
        return Redirect(safe_next(next), status_code=303)
    return page("accounts/sign_in.html", request, form=Form(), next=safe_next(next), site=site_of(wiring.settings))


@post("/sign-in", status_code=200)
async def ask_for_link(request: Request[Any, Any, Any], wiring: Wiring) -> Response[Any]:
    """The same answer, in body and time, whether the address is known or not: the work is done after it."""
    form = await read_form(request)
    email = form.email("email")
    next_path = safe_next(form.values.get("next", "/"))
    if not form.fine:
        site = site_of(wiring.settings)
        return page("accounts/sign_in.html", request, status=422, form=form, next=next_path, site=site)
    answer = page("accounts/link_sent.html", request)
    answer.background = BackgroundTask(_ask, wiring, email, next_path)
    return answer


@get("/sign-in/{token:str}")
async def show_link(request: Request[Any, Any, Any], token: str, next: str = "/") -> Template:
    return page("accounts/use_link.html", request, token=token, next=safe_next(next))


@post("/sign-in/{token:str}")
async def sign_in(request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, token: str) -> Redirect:
    form = await read_form(request)
    used = await use_link(db, token=token)
    cookie = await start_login(
        db, wiring.settings, account=used.account, scope=Scope.MEMBER, member=used.member, way=Way.LINK, former=login
    )
    where = "/passkeys" if await needs_passkey(db, member=used.member) else safe_next(form.values.get("next", "/"))
    return Redirect(where, status_code=303, cookies=[cookie])


async def _ask(wiring: Wiring, email: str, next_path: str) -> None:
    async with wiring.database.transaction() as db:
        await ask_sign_in(db, wiring, email=email, next_path=next_path)


router = Router(
    "/",
    route_handlers=[
        show_sign_in,
        ask_for_link,
        show_link,
        sign_in,
        *member_routes.handlers,
        *agreement_routes.handlers,
        *passkey_routes.handlers,
    ],
)
