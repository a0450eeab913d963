"""A member's passkeys and logins, and signing in with a passkey. Forms are plain; a script asks the browser and puts
its answer into them (static/js/passkeys.js)."""

from __future__ import annotations

from uuid import UUID

from litestar import MediaType, Response, get, post
from litestar.response import Redirect, Template

from app.accounts.ceremonies import PasskeyRefused, Site, site_of
from app.accounts.login import Login, SignedIn, require_member, start_login
from app.accounts.logins import end_other, end_others, logins
from app.accounts.models import Role, Scope, Way
from app.accounts.passkeys import (
    TooManyPasskeys,
    add_passkey,
    may_change,
    need_passkeys,
    needs_passkey,
    passkeys,
    remove_passkey,
    sign_in_with,
    to_add,
    to_sign_in,
)
from app.accounts.policy import safe_next
from app.database import Db
from app.errors import BadInput, JunierError, NotThere
from app.forms import Form, read_form
from app.language import _
from app.pages import AnyRequest, page
from app.settings import Settings
from app.wiring import Wiring

NAME_LENGTH = 100
CHANGED = "/passkeys?changed=yes"


@get("/passkeys")
async def show_passkeys(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    return await _page(request, db, wiring, require_member(login), Form())


@post("/passkeys/challenge")
async def ask_to_add(db: Db, wiring: Wiring, login: Login) -> Response[bytes]:
    member = require_member(login)
    return _json(await to_add(db, wiring.columns, _site(wiring.settings), login=member))


@post("/passkeys")
async def add(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    member, site = require_member(login), _site(wiring.settings)
    form = await read_form(request)
    name, answer = form.line("name", length=NAME_LENGTH), form.values.get("credential", "")
    if form.fine and not answer:
        form.errors["passkey"] = _("The browser made no passkey. This needs JavaScript.")
    if not form.fine:
        return await _page(request, db, wiring, member, form, status=422)
    try:
        await add_passkey(db, wiring.columns, site, login=member, name=name, answer=answer)
    except (PasskeyRefused, TooManyPasskeys) as error:  # answered, not raised: the challenge stays spent
        form.errors["passkey"] = _(error.message)
        return await _page(request, db, wiring, member, form, status=error.status)
    return Redirect(CHANGED, status_code=303)


@post("/passkeys/{passkey:uuid}/remove")
async def remove(db: Db, wiring: Wiring, login: Login, passkey: UUID) -> Redirect:
    await remove_passkey(db, login=require_member(login), passkey=passkey)
    return Redirect(CHANGED, status_code=303)


@post("/logins/{other:uuid}/end")
async def end_login_elsewhere(db: Db, login: Login, other: UUID) -> Redirect:
    await end_other(db, login=require_member(login), other=other)
    return Redirect("/passkeys#logins", status_code=303)


@post("/logins/others/end")
async def end_logins_elsewhere(db: Db, login: Login) -> Redirect:
    await end_others(db, login=require_member(login))
    return Redirect("/passkeys#logins", status_code=303)


@post("/members/passkeys")
async def ask_for_passkeys(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Redirect:
    """needed: yes or no."""
    owner, _site_there = require_member(login, Role.OWNER), _site(wiring.settings)
    form = await read_form(request)
    needed = form.choice("needed", ("yes", "no"))
    if not form.fine:
        raise BadInput
    await need_passkeys(db, login=owner, needed=needed == "yes")
    return Redirect("/members#sign-in", status_code=303)


@post("/sign-in/passkey/challenge")
async def ask_to_sign_in(db: Db, wiring: Wiring) -> Response[bytes]:
    return _json(await to_sign_in(db, _site(wiring.settings)))


@post("/sign-in/passkey")
async def sign_in(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    site = _site(wiring.settings)
    form = await read_form(request)
    next_path = safe_next(form.values.get("next", "/"))
    try:
        known = await sign_in_with(db, site, answer=form.values.get("credential", ""))
    except PasskeyRefused as error:  # answered, not raised: the challenge stays spent
        return _refused(request, wiring.settings, error, next_path)
    cookie = await start_login(
        db,
        wiring.settings,
        account=known.account,
        scope=Scope.MEMBER,
        member=known.member,
        way=Way.PASSKEY,
        former=login,
    )
    return Redirect(next_path, status_code=303, cookies=[cookie])


def _refused(request: AnyRequest, settings: Settings, error: JunierError, next_path: str) -> Template:
    form = Form(errors={"passkey": _(error.message)})
    return page(
        "accounts/sign_in.html", request, status=error.status, form=form, next=next_path, site=site_of(settings)
    )


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, login: SignedIn, form: Form, status: int = 200
) -> Template:
    listed = await passkeys(db, wiring.columns, login=login)
    site = site_of(wiring.settings)
    return page(
        "accounts/passkeys.html",
        request,
        status=status,
        passkeys=listed,
        logins=await logins(db, login=login),
        asked_for=await needs_passkey(db, member=login.as_member),
        decision=await may_change(db, login=login),
        changed=CHANGED.endswith(request.url.query or " "),
        form=form,
        site=site,
    )


def _site(settings: Settings) -> Site:
    site = site_of(settings)
    if site is None:
        raise NotThere(_("Passkeys need an address with a name; this installation is reached by a number."))
    return site


def _json(text: str) -> Response[bytes]:
    return Response(text.encode(), status_code=200, media_type=MediaType.JSON)


handlers = [
    show_passkeys,
    ask_to_add,
    add,
    remove,
    end_login_elsewhere,
    end_logins_elsewhere,
    ask_for_passkeys,
    ask_to_sign_in,
    sign_in,
]
