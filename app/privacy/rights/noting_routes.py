"""Pages on which an owner notes a request for a participant who phoned, wrote or said it."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.accounts.reads import note_shown
from app.database import Db, now_in
from app.forms import Form, read_form
from app.language import N_
from app.language import gettext as _
from app.pages import AnyRequest, page
from app.privacy.records.models import RequestKind, RequestWay
from app.privacy.rights.noting import Choice, Wish, find_by_address, may_note, note_for, standing_choices, who_asks
from app.privacy.rights.requests import WORDS_LENGTH
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.wiring import Wiring

NOBODY = N_("Nobody with this address is known here. Please compare it with the address of the invitation.")


@get("/requests/new")
async def ask_who(request: AnyRequest, login: Login) -> Template:
    require_member(login, Role.OWNER)
    return page("privacy/request_who.html", request, form=Form())


@post("/requests/new")
async def find_who(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """By the address they were invited at, which stands in no link."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    email = form.email("email")
    found = await find_by_address(db, wiring, account=owner.account, email=email) if form.fine else None
    if found is not None:
        return Redirect(f"/requests/for/{found.id}", status_code=303)
    form.errors.setdefault("email", _(NOBODY))
    return page("privacy/request_who.html", request, form=form, status=422)


@get("/requests/for/{participant:uuid}")
async def show_noting(request: AnyRequest, db: Db, wiring: Wiring, login: Login, participant: UUID) -> Template:
    return await _page(request, db, wiring, require_member(login, Role.OWNER), participant, Form())


@post("/requests/for/{participant:uuid}")
async def note_request_for(
    request: AnyRequest, db: Db, wiring: Wiring, node: NodeClient | None, login: Login, participant: UUID
) -> Template | Redirect:
    """kind, way, came_on (a day), words, and for a withdrawal the consents taken back."""
    owner = require_member(login, Role.OWNER)
    person, _name = await who_asks(db, wiring, account=owner.account, participant=participant)
    form = await read_form(request)
    choices = await standing_choices(db, person)
    wish = await _read(db, form, choices)
    if wish is None:
        return await _page(request, db, wiring, owner, participant, form, status=422)
    rows = await note_for(db, wiring, account=owner.account, participant=person, wish=wish, by=owner.as_member)
    await db.commit()
    if node is not None and wish.kind in (RequestKind.ERASURE, RequestKind.WITHDRAWAL):
        for session in {one.session for one in choices}:
            await push_session(wiring, node, account=owner.account, session=session)
    return Redirect(f"/requests/{rows[0].id}" if len(rows) == 1 else "/requests", status_code=303)


async def _read(db: Db, form: Form, choices: list[Choice]) -> Wish | None:
    kind = form.choice("kind", list(RequestKind))
    way = form.choice("way", list(RequestWay))
    words = form.text("words", required=kind == RequestKind.RECTIFICATION, length=WORDS_LENGTH)
    taken = form.choices("consents", [one.value for one in choices]) if kind == RequestKind.WITHDRAWAL else []
    if kind == RequestKind.WITHDRAWAL and not taken and "consents" not in form.errors:
        form.errors["consents"] = _("Please tick what they take back.")
    came_on = await _day(db, form)
    if came_on is None or not form.fine:
        return None
    return Wish(
        kind=RequestKind(kind),
        way=RequestWay(way),
        came_on=came_on,
        words=words,
        consents=[one for one in choices if one.value in taken],
    )


async def _day(db: Db, form: Form) -> date | None:
    try:
        day = date.fromisoformat(form.values.get("came_on", "").strip())
    except ValueError:
        form.errors["came_on"] = _("Please choose a day.")
        return None
    decision = may_note(day, await now_in(db))
    if not decision:
        form.errors["came_on"] = _(decision.reason)
    return day


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, owner: SignedIn, participant: UUID, form: Form, *, status: int = 200
) -> Template:
    await note_shown(db, owner, f"participant:{participant}")
    person, name = await who_asks(db, wiring, account=owner.account, participant=participant)
    return page(
        "privacy/request_for.html",
        request,
        status=status,
        form=form,
        participant=person,
        name=name,
        kinds=list(RequestKind),
        ways=list(RequestWay),
        choices=await standing_choices(db, person),
        chosen=form.lists.get("consents", ()),
    )


router = Router("/", route_handlers=[ask_who, find_who, show_noting, note_request_for])
