"""The owner's pages for the end of the account: announce it, keep it after all, close it today."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.agreement import account_row
from app.accounts.closing import closing_day, is_fresh, is_name
from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.database import Db, now_in
from app.forms import Form, read_form
from app.language import _
from app.pages import AnyRequest, page
from app.privacy.keeping.closing import announce, close_today, ending, keep
from app.privacy.keeping.closing_steps import end_rooms
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.wiring import Wiring


@get("/account/close")
async def show_closing(request: AnyRequest, db: Db, login: Login) -> Template:
    """Says what goes and when, and once it is announced how to keep the account."""
    return await _page(request, db, require_member(login, Role.OWNER), Form())


@post("/account/close")
async def announce_closing(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """For the day after the days of grace."""
    owner = require_member(login, Role.OWNER)
    if not is_fresh(owner.since, await now_in(db)):
        return await _page(request, db, owner, Form(), status=403)
    form = await _named(request, db)
    if not form.fine:
        return await _page(request, db, owner, form, status=422)
    await announce(db, wiring, owner=owner)
    return Redirect("/account/close", status_code=303)


@post("/account/close/today")
async def close_now(
    request: AnyRequest, db: Db, wiring: Wiring, node: NodeClient | None, login: Login
) -> Template | Redirect:
    """What is going on ends with the click; all else is the job's."""
    owner = require_member(login, Role.OWNER)
    if not is_fresh(owner.since, await now_in(db)):
        return await _page(request, db, owner, Form(), status=403)
    form = await _named(request, db)
    if not form.fine:
        return await _page(request, db, owner, form, status=422)
    await close_today(db, wiring, owner=owner)
    rooms = await end_rooms(db, owner.actor)
    await db.commit()
    if node is not None:
        for session in rooms:  # the media processes hear it at once
            await push_session(wiring, node, account=owner.account, session=session)
    return Redirect("/erasures", status_code=303)


@post("/account/keep")
async def keep_account(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """One click, freshly proven: whoever finds a login left open must not keep what its owners ended."""
    owner = require_member(login, Role.OWNER)
    if not is_fresh(owner.since, await now_in(db)):
        return await _page(request, db, owner, Form(), status=403)
    await keep(db, wiring, owner=owner)
    return Redirect("/account/close", status_code=303)


async def _named(request: AnyRequest, db: Db) -> Form:
    """The form, with the account's name typed into it."""
    form = await read_form(request)
    typed = form.line("name")
    if form.fine and not is_name(typed, (await account_row(db)).name):
        form.errors["name"] = _("This is not the account's name. Please type it as it stands above.")
    return form


async def _page(request: AnyRequest, db: Db, owner: SignedIn, form: Form, status: int = 200) -> Template:
    now = await now_in(db)
    return page(
        "accounts/close.html",
        request,
        status=status,
        form=form,
        name=(await account_row(db)).name,
        ending=await ending(db, owner=owner),
        fresh=is_fresh(owner.since, now),
        day=closing_day(now),
    )


router = Router("/", route_handlers=[show_closing, announce_closing, close_now, keep_account])
