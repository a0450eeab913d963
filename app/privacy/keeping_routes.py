"""Pages of keeping: what will be erased when, and changing how long; a shorter time lists first what it erases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Account, Role
from app.audit import Action, record
from app.database import Db, now_in
from app.forms import Form, read_form
from app.language import N_
from app.pages import AnyRequest, page
from app.privacy.axis import axis_over
from app.privacy.holds import reviews_due
from app.privacy.keeping import Change, Preview, days_now, keep, preview
from app.privacy.overview import overview
from app.sessions.service import find_session
from app.studies.forms import LONGEST_DAYS
from app.studies.retention import exceeds, shortens, too_long
from app.studies.service import find_study

PAGE_ROWS = 50


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a change is about, for the page. choice: the other option beside a number of days."""

    path: str
    back: str
    title: str
    name: str
    choice: str


@get("/retention")
async def show_retention(
    request: AnyRequest,
    db: Db,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    now = await now_in(db)
    shown = await overview(db, now, limit=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    return page(
        "privacy/retention.html",
        request,
        shown=shown,
        axis=axis_over(shown.spans, now),
        number=number,
        more=shown.more,
        owner=member.role is Role.OWNER,
        reviews=await reviews_due(db, now),
        account=await db.get_one(Account, member.account),
    )


@get("/retention/account")
async def show_account(request: AnyRequest, db: Db, login: Login) -> Template:
    return await _show(request, db, login, Change(days=None))


@post("/retention/account")
async def change_account(request: AnyRequest, db: Db, login: Login) -> Template | Redirect:
    return await _change(request, db, login, Change(days=None))


@post("/retention/default")
async def change_default(request: AnyRequest, db: Db, login: Login) -> Template | Redirect:
    """How long a new study keeps, unless it says otherwise."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    account = await db.get_one(Account, owner.account, with_for_update=True)
    longest = account.longest_retention_days
    days = form.number("default", at_least=1, at_most=longest or LONGEST_DAYS)
    if not form.fine:
        return await _page(request, db, owner, Change(days=None), form, status=422)
    account.retention_days = days
    await record(
        db,
        account=owner.account,
        actor=owner.actor,
        action=Action.RETENTION_CHANGED,
        subject=f"account:{owner.account}",
        facts={"default_days": days},
    )
    return Redirect("/retention/account", status_code=303)


@get("/studies/{study:uuid}/retention")
async def show_study_retention(
    request: AnyRequest, db: Db, login: Login, study: UUID, days: str | None = None
) -> Template:
    """days: chosen on the study's form, and listed here before it takes effect."""
    return await _show(request, db, login, Change(days=None, study=study), days)


@post("/studies/{study:uuid}/retention")
async def change_study_retention(request: AnyRequest, db: Db, login: Login, study: UUID) -> Template | Redirect:
    return await _change(request, db, login, Change(days=None, study=study))


@get("/sessions/{session:uuid}/retention")
async def show_session_retention(request: AnyRequest, db: Db, login: Login, session: UUID) -> Template:
    return await _show(request, db, login, Change(days=None, session=session))


@post("/sessions/{session:uuid}/retention")
async def change_session_retention(request: AnyRequest, db: Db, login: Login, session: UUID) -> Template | Redirect:
    return await _change(request, db, login, Change(days=None, session=session))


async def _show(request: AnyRequest, db: Db, login: Login, change: Change, days: str | None = None) -> Template:
    owner = require_member(login, Role.OWNER)
    form = Form(values={"keep": "days", "days": days}) if days is not None else Form()
    if days is None:
        return await _page(request, db, owner, change, form)
    wanted = await _read(db, form, change, owner)
    return await _page(request, db, owner, wanted or change, form, listed=wanted, status=200 if wanted else 422)


async def _change(request: AnyRequest, db: Db, login: Login, change: Change) -> Template | Redirect:
    """The first press of a shorter time lists, the second one acts; if what goes changed in between, it lists again."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    wanted = await _read(db, form, change, owner)
    if wanted is None:
        return await _page(request, db, owner, change, form, status=422)
    if shortens(await days_now(db, change, owner.account), wanted.days):
        seen = (await preview(db, wanted, await now_in(db))).seal
        if form.values.get("seen") != seen:
            return await _page(request, db, owner, wanted, form, listed=wanted)
    await keep(db, wanted, account=owner.account, by=owner.actor)
    return Redirect((await _place(db, wanted)).back, status_code=303)


async def _read(db: Db, form: Form, change: Change, owner: SignedIn) -> Change | None:
    """The change with its days, or None when something does not fit."""
    days = None
    if form.choice("keep", ("days", "other")) == "days":
        days = form.number("days", at_least=1, at_most=LONGEST_DAYS)
    longest = (await db.get_one(Account, owner.account)).longest_retention_days
    limited = change.study is not None or (change.session is not None and days is not None)
    if limited and exceeds(days, longest):
        form.errors["days" if days else "keep"] = too_long(longest)
    return Change(days=days, study=change.study, session=change.session) if form.fine else None


async def _page(
    request: AnyRequest,
    db: Db,
    owner: SignedIn,
    change: Change,
    form: Form,
    *,
    listed: Change | None = None,
    status: int = 200,
) -> Template:
    going: Preview | None = None
    before = await days_now(db, change, owner.account)
    if listed is not None and shortens(before, listed.days):
        going = await preview(db, listed, await now_in(db))
    return page(
        "privacy/retention_change.html",
        request,
        status=status,
        place=await _place(db, change),
        form=form,
        before=before,
        days=listed.days if listed else before,
        going=going,
        of_account=change.study is None and change.session is None,
        account=await db.get_one(Account, owner.account),
    )


async def _place(db: Db, change: Change) -> Place:
    if change.session is not None:
        session = await find_session(db, change.session)
        return Place(
            path=f"/sessions/{session.id}/retention",
            back=f"/sessions/{session.id}",
            title=N_("How long this session is kept"),
            name=session.title,
            choice=N_("As long as its study says"),
        )
    if change.study is not None:
        study = await find_study(db, change.study)
        return Place(
            path=f"/studies/{study.id}/retention",
            back=f"/studies/{study.id}",
            title=N_("How long this study is kept"),
            name=study.title,
            choice=N_("Until you or the participant ask"),
        )
    return Place(
        path="/retention/account",
        back="/retention",
        title=N_("How long your account keeps at most"),
        name=N_("Retention"),
        choice=N_("No limit; each study says for itself"),
    )


router = Router(
    "/",
    route_handlers=[
        show_retention,
        show_account,
        change_account,
        change_default,
        show_study_retention,
        change_study_retention,
        show_session_retention,
        change_session_retention,
    ],
)
