"""Pages of keeping: what will be erased when, and changing how long; a shorter time lists first what it erases."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Account, Role
from app.accounts.reads import note_shown
from app.database import Db, now_in
from app.forms import Form, read_form
from app.pages import AnyRequest, page
from app.privacy.keeping.axis import axis_over
from app.privacy.keeping.dry_run import Preview, preview
from app.privacy.keeping.keeping import Change, keep, keep_default, stands
from app.privacy.keeping.keeping_forms import People, kinds_of, people_of, place_of, read_periods
from app.privacy.keeping.overview import overview
from app.studies.clocks import IDLE, OFFERED, anything_shorter, shortest_of
from app.studies.forms import LONGEST_DAYS
from app.studies.retention import exceeds, too_long
from app.studies.service import find_study
from app.wiring import Wiring

PAGE_ROWS = 50


@get("/retention")
async def show_retention(
    request: AnyRequest,
    db: Db,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    now = await now_in(db)
    shown = await overview(db, member.account, now, limit=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    return page(
        "privacy/retention.html",
        request,
        shown=shown,
        axis=axis_over(shown.spans, now),
        number=number,
        more=shown.more,
        owner=member.role is Role.OWNER,
        reviews=shown.reviews,
        account=shown.account,
    )


@get("/retention/account")
async def show_account(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    return await _show(request, db, wiring, login, Change(days=None))


@post("/retention/account")
async def change_account(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    return await _change(request, db, wiring, login, Change(days=None))


@post("/retention/default")
async def change_default(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """How long a new study keeps, unless it says otherwise."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    longest = (await db.get_one(Account, owner.account, with_for_update=True)).longest_retention_days
    days = form.number("default", at_least=1, at_most=longest or LONGEST_DAYS)
    if not form.fine:
        return await _page(request, db, wiring, owner, Change(days=None), form, status=422)
    await keep_default(db, owner.account, days, by=owner.actor)
    return Redirect("/retention/account", status_code=303)


@get("/studies/{study:uuid}/retention")
async def show_study_retention(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, study: UUID, days: str | None = None
) -> Template:
    """days: chosen on the study's form, and listed here before it takes effect."""
    return await _show(request, db, wiring, login, Change(days=None, study=study), days)


@post("/studies/{study:uuid}/retention")
async def change_study_retention(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, study: UUID
) -> Template | Redirect:
    return await _change(request, db, wiring, login, Change(days=None, study=study))


@get("/sessions/{session:uuid}/retention")
async def show_session_retention(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    return await _show(request, db, wiring, login, Change(days=None, session=session))


@post("/sessions/{session:uuid}/retention")
async def change_session_retention(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID
) -> Template | Redirect:
    return await _change(request, db, wiring, login, Change(days=None, session=session))


@get("/retention/participants/{participant:uuid}")
async def show_participant_retention(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, participant: UUID
) -> Template:
    return await _show(request, db, wiring, login, Change(days=None, participant=participant))


@post("/retention/participants/{participant:uuid}")
async def change_participant_retention(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, participant: UUID
) -> Template | Redirect:
    return await _change(request, db, wiring, login, Change(days=None, participant=participant))


async def _show(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, change: Change, days: str | None = None
) -> Template:
    owner = require_member(login, Role.OWNER)
    form = Form(values={"keep": "days", "days": days}) if days is not None else Form()
    if days is None:
        return await _page(request, db, wiring, owner, change, form)
    wanted = await _read(db, form, change, owner)
    status = 200 if wanted else 422
    return await _page(request, db, wiring, owner, wanted or change, form, listed=wanted, status=status)


async def _change(request: AnyRequest, db: Db, wiring: Wiring, login: Login, change: Change) -> Template | Redirect:
    """The first press of a shorter time lists, the second one acts; if what goes changed in between, it lists again."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    wanted = await _read(db, form, change, owner)
    if wanted is None:
        return await _page(request, db, wiring, owner, change, form, status=422)
    if anything_shorter(await stands(db, change, owner.account), wanted.level):
        seen = (await preview(db, wanted, await now_in(db))).seal
        if form.values.get("seen") != seen:
            return await _page(request, db, wiring, owner, wanted, form, listed=wanted)
    await keep(db, wanted, account=owner.account, by=owner.actor)
    return Redirect((await place_of(db, wiring, wanted)).back, status_code=303)


async def _read(db: Db, form: Form, change: Change, owner: SignedIn) -> Change | None:
    """The change with its days, or None when something does not fit."""
    keep = form.choice("keep", ("days", IDLE, "other"))
    number = form.number("days", at_least=1, at_most=LONGEST_DAYS) if keep in ("days", IDLE) else None
    longest = (await db.get_one(Account, owner.account)).longest_retention_days
    days = number if keep == "days" else None
    if keep == IDLE and change.study is not None:
        days = longest  # by the last activity, and no later than the account's limit all the same
    limited = change.study is not None or (change.session is not None and days is not None)
    if limited and exceeds(days, longest):
        form.errors["days" if days else "keep"] = too_long(longest)
    periods = await read_periods(db, form, change, owner.account)
    if keep == IDLE and number is not None:
        periods = shortest_of(periods, {IDLE: number})
    ending = form.choice("ending", OFFERED) if change.study is not None and "ending" in form.values else None
    return replace(change, days=days, periods=periods, ending=ending) if form.fine else None


async def _page(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    owner: SignedIn,
    change: Change,
    form: Form,
    *,
    listed: Change | None = None,
    status: int = 200,
) -> Template:
    going: Preview | None = None
    if change.session is not None or change.participant is not None:
        await note_shown(
            db, owner, f"session:{change.session}" if change.session else f"participant:{change.participant}"
        )
    before = await stands(db, change, owner.account)
    if listed is not None and anything_shorter(before, listed.level):
        going = await preview(db, listed, await now_in(db))
    people: tuple[People, ...] = ()
    if change.session is not None and going is None:
        people = await people_of(db, wiring, change.session)
    return page(
        "privacy/retention_change.html",
        request,
        status=status,
        place=await place_of(db, wiring, change),
        form=form,
        before=before,
        stays=(await find_study(db, change.study)).ending if change.study is not None else None,
        days=listed.days if listed else before.days,
        listed=listed.level if listed else None,
        kinds=await kinds_of(db, change, listed, owner.account),
        going=going,
        people=people,
        of_account=change.of_account,
        account=await db.get_one(Account, owner.account),
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
        show_participant_retention,
        change_participant_retention,
    ],
)
