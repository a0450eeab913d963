"""The page of the processing agreement, with everybody who gets data: every member reads it, an owner accepts it."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import get, post
from litestar.response import Redirect, Template

from app.accounts.agreement import AGREEMENT_DATED, accept_agreement, account_row
from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.database import Db
from app.pages import AnyRequest, page
from app.third_parties import third_parties
from app.wiring import Wiring


@get("/agreement")
async def show_agreement(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    member = require_member(login)
    account = await account_row(db)
    return page(
        "accounts/agreement.html",
        request,
        account=account,
        dated=AGREEMENT_DATED,
        accepted=account.agreement_dated == AGREEMENT_DATED,
        may_accept=member.role == Role.OWNER,
        parties=third_parties(wiring.settings),
        today=datetime.now(UTC).date(),
    )


@post("/agreement")
async def accept(db: Db, login: Login) -> Redirect:
    owner = require_member(login, Role.OWNER)
    assert owner.member is not None
    await accept_agreement(db, account=owner.account, by=owner.member)
    return Redirect("/", status_code=303)


handlers = [show_agreement, accept]
