"""An operator signs in: a mailed link, then a passkey. Nothing here says whether an address or a browser is known."""

from __future__ import annotations

from litestar import MediaType, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Redirect, Template

from app.accounts.ceremonies import PasskeyRefused, Site, site_of
from app.database import Db
from app.errors import NotThere
from app.forms import Form, read_form
from app.language import _
from app.pages import AnyRequest, page
from app.settings import Settings
from app.support.login import SignedInOperator, end_login, operator_of, renew_login, start_login
from app.support.operators import ask_sign_in, use_link
from app.support.passkeys import ask_passkey, has_passkey, make_passkey, show_passkey
from app.wiring import Wiring


@get("/support/sign-in")
async def show_sign_in(request: AnyRequest) -> Template:
    return page("support/sign_in.html", request, form=Form())


@post("/support/sign-in", status_code=200)
async def ask_for_link(request: AnyRequest, wiring: Wiring) -> Response[str] | Template:
    """The same answer, in body and time, whether the address is known or not: the work is done after it."""
    form = await read_form(request)
    email = form.email("email")
    if not form.fine:
        return page("support/sign_in.html", request, status=422, form=form)
    answer = page("support/link_sent.html", request)
    answer.background = BackgroundTask(_ask, wiring, email)
    return answer


@get("/support/sign-in/{token:str}")
async def show_link(request: AnyRequest, token: str) -> Template:
    return page("support/use_link.html", request, token=token)


@post("/support/sign-in/{token:str}")
async def sign_in(db: Db, wiring: Wiring, token: str) -> Redirect:
    operator = await use_link(db, token=token)
    cookie = await start_login(db, wiring.settings, operator=operator)
    return Redirect("/support/passkey", status_code=303, cookies=[cookie])


@post("/support/sign-out")
async def sign_out(request: AnyRequest, db: Db, wiring: Wiring) -> Redirect:
    operator = await operator_of(request, db, wiring)
    cookies = [] if operator is None else [await end_login(db, wiring.settings, operator)]
    return Redirect("/support/sign-in", status_code=303, cookies=cookies, headers={"clear-site-data": '"cache"'})


@get("/support/passkey")
async def show_passkey_page(request: AnyRequest, db: Db, wiring: Wiring) -> Template:
    operator = await _after_link(request, db, wiring)
    return await _page(request, db, wiring, operator, Form())


@post("/support/passkey/challenge")
async def ask_for_passkey(request: AnyRequest, db: Db, wiring: Wiring) -> Response[bytes]:
    operator = await _after_link(request, db, wiring)
    asked = await ask_passkey(db, wiring.columns, _site(wiring.settings), operator)
    return Response(asked.encode(), status_code=200, media_type=MediaType.JSON)


@post("/support/passkey")
async def take_passkey(request: AnyRequest, db: Db, wiring: Wiring) -> Template | Redirect:
    """The first one is made, every later one shown; another is made by who showed one."""
    operator = await _after_link(request, db, wiring)
    form, site = await read_form(request), _site(wiring.settings)
    take = show_passkey if await has_passkey(db, operator) and not operator.proven else make_passkey
    try:
        await take(db, site, operator, answer=form.values.get("credential", ""))
    except PasskeyRefused as error:  # answered, not raised: the challenge stays spent
        form.errors["passkey"] = _(error.message)
        return await _page(request, db, wiring, operator, form, status=error.status)
    return Redirect("/support", status_code=303, cookies=[await renew_login(db, wiring.settings, operator)])


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, operator: SignedInOperator, form: Form, status: int = 200
) -> Template:
    known = await has_passkey(db, operator)
    site = site_of(wiring.settings)
    return page("support/passkey.html", request, status=status, operator=operator, known=known, form=form, site=site)


async def _after_link(request: AnyRequest, db: Db, wiring: Wiring) -> SignedInOperator:
    """An operator who used their link, whether or not a passkey was shown. Raises NotThere."""
    operator = await operator_of(request, db, wiring)
    if operator is None:
        raise NotThere
    return operator


def _site(settings: Settings) -> Site:
    site = site_of(settings)
    if site is None:
        raise NotThere(_("Passkeys need an address with a name; this installation is reached by a number."))
    return site


async def _ask(wiring: Wiring, email: str) -> None:
    async with wiring.database.transaction() as db:
        await ask_sign_in(db, wiring, email=email)


handlers = [
    show_sign_in,
    ask_for_link,
    show_link,
    sign_in,
    sign_out,
    show_passkey_page,
    ask_for_passkey,
    take_passkey,
]
