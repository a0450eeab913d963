"""The owner's page for closing the account."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.agreement import account_row
from app.accounts.closing import is_fresh, is_name
from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.database import Db, now_in
from app.forms import Form, read_form
from app.language import _
from app.ledger import ledger_of
from app.pages import AnyRequest, page
from app.privacy.keeping.closing import close_account, ending
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.wiring import Wiring


@get("/account/close")
async def show_closing(request: AnyRequest, db: Db, login: Login) -> Template:
    """Says what goes, and asks for the account's name."""
    return await _page(request, db, require_member(login, Role.OWNER), Form())


@post("/account/close")
async def close(
    request: AnyRequest, db: Db, wiring: Wiring, node: NodeClient | None, login: Login
) -> Template | Redirect:
    owner = require_member(login, Role.OWNER)
    if not is_fresh(owner.since, await now_in(db)):
        return await _page(request, db, owner, Form(), status=403)
    form = await read_form(request)
    typed = form.line("name")
    if form.fine and not is_name(typed, (await account_row(db)).name):
        form.errors["name"] = _("This is not the account's name. Please type it as it stands above.")
    if not form.fine:
        return await _page(request, db, owner, form, status=422)
    rooms = await close_account(db, ledger_of(wiring.settings), owner=owner)
    await db.commit()
    if node is not None:
        for session in rooms:
            await push_session(wiring, node, account=owner.account, session=session)
    return Redirect("/erasures", status_code=303)


async def _page(request: AnyRequest, db: Db, owner: SignedIn, form: Form, status: int = 200) -> Template:
    return page(
        "accounts/close.html",
        request,
        status=status,
        form=form,
        name=(await account_row(db)).name,
        ending=await ending(db, owner=owner),
        fresh=is_fresh(owner.since, await now_in(db)),
    )


router = Router("/", route_handlers=[show_closing, close])
