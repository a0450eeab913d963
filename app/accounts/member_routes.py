"""The owner's pages of the account's members."""

from __future__ import annotations

from uuid import UUID

from litestar import get, post
from litestar.response import Redirect, Template

from app.accounts.agreement import account_row
from app.accounts.ceremonies import site_of
from app.accounts.forms import read_member, read_role
from app.accounts.login import Login, SignedIn, require_member
from app.accounts.members import LastOwner, change_role, find_member, invite_member, members, remove_member
from app.accounts.models import Role
from app.accounts.policy import may_need_passkeys
from app.accounts.service import AlreadyMember
from app.database import Db
from app.forms import Form, read_form
from app.language import N_
from app.pages import AnyRequest, page
from app.wiring import Wiring

ROLES = {
    Role.RESEARCHER: N_("leads sessions, invites people, reviews recordings"),
    Role.OBSERVER: N_("watches live sessions, sees no recordings"),
    Role.OWNER: N_("everything, also members, retention and erasing"),
}


@get("/members")
async def show_members(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    require_member(login, Role.OWNER)
    return await _members_page(request, db, wiring, Form())


@post("/members")
async def create_member(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    owner = require_member(login, Role.OWNER)
    assert owner.member is not None
    form = await read_form(request)
    typed = read_member(form)
    if typed is None:
        return await _members_page(request, db, wiring, form, status=422)
    try:
        await invite_member(
            db, wiring, account=owner.account, name=typed.name, email=typed.email, role=typed.role, by=owner.member
        )
    except AlreadyMember as error:
        form.errors["email"] = error.message
        return await _members_page(request, db, wiring, form, status=409)
    return Redirect("/members", status_code=303)


@get("/members/{member:uuid}")
async def show_member(request: AnyRequest, db: Db, wiring: Wiring, login: Login, member: UUID) -> Template:
    require_member(login, Role.OWNER)
    return await _member_page(request, db, wiring, member, Form())


@post("/members/{member:uuid}/role")
async def set_role(request: AnyRequest, db: Db, wiring: Wiring, login: Login, member: UUID) -> Template | Redirect:
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    role = read_role(form)
    if role is None:
        return await _member_page(request, db, wiring, member, form, status=422)
    try:
        await change_role(db, member=member, role=role, by=owner.actor)
    except LastOwner as error:
        form.errors["role"] = error.message
        return await _member_page(request, db, wiring, member, form, status=409)
    mine = member == owner.member and role is not Role.OWNER
    return Redirect("/" if mine else "/members", status_code=303)


@post("/members/{member:uuid}/remove")
async def remove(request: AnyRequest, db: Db, wiring: Wiring, login: Login, member: UUID) -> Template | Redirect:
    owner = require_member(login, Role.OWNER)
    form = Form()
    try:
        await remove_member(db, member=member, by=owner.actor)
    except LastOwner as error:
        form.errors["remove"] = error.message
        return await _member_page(request, db, wiring, member, form, status=409)
    return Redirect("/sign-in" if member == owner.member else "/members", status_code=303)


async def _members_page(request: AnyRequest, db: Db, wiring: Wiring, form: Form, status: int = 200) -> Template:
    login: SignedIn = request.scope["state"]["login"]
    return page(
        "accounts/members.html",
        request,
        status=status,
        members=await members(db, wiring.columns),
        roles=ROLES,
        passkeys_needed=(await account_row(db)).passkeys_needed,
        may_need_passkeys=may_need_passkeys(login.way),
        site=site_of(wiring.settings),
        form=form,
    )


async def _member_page(
    request: AnyRequest, db: Db, wiring: Wiring, member: UUID, form: Form, status: int = 200
) -> Template:
    shown = await find_member(db, wiring.columns, member)
    return page("accounts/member.html", request, status=status, member=shown, roles=ROLES, form=form)


handlers = [show_members, create_member, show_member, set_role, remove]
