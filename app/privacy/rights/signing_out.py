"""Signing out, of members and participants. GET never changes anything."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, end_login
from app.database import Db
from app.errors import JunierError
from app.pages import FOR_PARTICIPANTS, page
from app.privacy.rights.my_data import foot_of
from app.wiring import Wiring
from recordings.encryption.keystore import KeyStoreError

PAGE = "/signed-out"


@post("/sign-out", status_code=200)
async def sign_out(request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login) -> Response[Any]:
    """Members may sign in again; a participant, whom nothing knows any more after this answer, still reads in it whom
    to ask."""
    cookies = [] if login is None else [await end_login(db, wiring.settings, login)]
    headers = {"clear-site-data": '"cache"'}
    if login is None or login.participant is None:
        return Redirect("/sign-in", status_code=303, cookies=cookies, headers=headers)
    told = await _foot(db, wiring, login) | {"login": None, "here": PAGE}
    answer = page("privacy/signed_out.html", request, **told)
    answer.cookies, answer.headers = cookies, headers
    return answer


@get(PAGE)
async def show_signed_out(request: Request[Any, Any, Any]) -> Template:
    """The same in another language, when nobody knows any more who reads."""
    return page("privacy/signed_out.html", request)


async def _foot(db: Db, wiring: Wiring, person: SignedIn) -> dict[str, Any]:
    """Nothing when it cannot be told: signing out never waits for a key store."""
    try:
        return await foot_of(db, wiring, person)
    except (JunierError, KeyStoreError):
        return {}


router = Router("/", route_handlers=[sign_out, show_signed_out], opt=FOR_PARTICIPANTS)
