"""What a participant can ask for under My data beside erasing and taking back: correct the name, keep without
showing, object, a copy. Each needs the fresh code, and each gives a receipt."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_participant
from app.accounts.models import Scope
from app.database import Db
from app.forms import Form, read_form
from app.language import gettext as _
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.forms import NAME_LENGTH
from app.privacy.erasing.recipients import tell_of_correction
from app.privacy.records.models import RequestKind
from app.privacy.rights.my_data import foot_of
from app.privacy.rights.requests import WORDS_LENGTH, ask, correct_name
from app.sessions.disclosure_models import Disclosed
from app.wiring import Wiring
from recordings.model import PersonId

BY_WORDS = (RequestKind.ACCESS, RequestKind.RECTIFICATION, RequestKind.OBJECTION)
"""Requests that an owner answers; the others are carried out by a button of their own."""


@get("/my-data/requests")
async def show_asking(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    return await _page(request, db, wiring, require_participant(login, Scope.DATA), Form())


@post("/my-data/requests")
async def ask_owner(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """kind: access, rectification or objection; words: why, or what is wrong."""
    person = require_participant(login, Scope.DATA)
    form = await read_form(request)
    kind = form.choice("kind", BY_WORDS)
    words = form.text("words", required=kind == RequestKind.RECTIFICATION, length=WORDS_LENGTH)
    if not form.fine:
        return await _page(request, db, wiring, person, form, status=422)
    await _ask(db, wiring, person, RequestKind(kind), words)
    return Redirect("/my-data#requests", status_code=303)


@post("/my-data/restrict")
async def restrict_me(db: Db, wiring: Wiring, login: Login) -> Redirect:
    """Keep it, and show it to nobody: in force with this very request."""
    await _ask(db, wiring, require_participant(login, Scope.DATA), RequestKind.RESTRICTION)
    return Redirect("/my-data#requests", status_code=303)


@post("/my-data/object")
async def object_to_it(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """An objection; until it is answered nobody sees what was recorded."""
    person = require_participant(login, Scope.DATA)
    form = await read_form(request)
    words = form.text("words", required=False, length=WORDS_LENGTH)
    if not form.fine:
        form.values = {**form.values, "kind": RequestKind.OBJECTION}
        return await _page(request, db, wiring, person, form, status=422)
    await _ask(db, wiring, person, RequestKind.OBJECTION, words)
    return Redirect("/my-data#requests", status_code=303)


@post("/my-data/name")
async def correct_my_name(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """In force at once."""
    person = require_participant(login, Scope.DATA)
    form = await read_form(request)
    name = form.line("name", length=NAME_LENGTH)
    if not form.fine:
        return await _page(request, db, wiring, person, form, status=422)
    row = await correct_name(db, wiring.columns, account=person.account, participant=_participant(person), name=name)
    if row is not None:
        await tell_of_correction(db, wiring, row, {Disclosed.CONTACT})
    return Redirect("/my-data", status_code=303)


async def _ask(db: Db, wiring: Wiring, person: SignedIn, kind: RequestKind, words: str = "") -> None:
    await ask(db, wiring, account=person.account, participant=_participant(person), kind=kind, words=words)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, person: SignedIn, form: Form, *, status: int = 200
) -> Template:
    return page(
        "privacy/my_requests.html",
        request,
        status=status,
        form=form,
        here="/my-data/requests",
        kinds=[
            (RequestKind.ACCESS, _("Send me a copy of what you hold about me")),
            (RequestKind.RECTIFICATION, _("Something about me is wrong")),
            (RequestKind.OBJECTION, _("I object to the use of my recordings")),
        ],
        **await foot_of(db, wiring, person),
    )


def _participant(person: SignedIn) -> PersonId:
    assert person.participant is not None
    return person.participant


router = Router(
    "/",
    route_handlers=[show_asking, ask_owner, restrict_me, object_to_it, correct_my_name],
    opt=FOR_PARTICIPANTS,
)
