"""A participant adds what is missing under My data, beside a recording or answers of theirs (GDPR Art. 16)."""

from __future__ import annotations

from uuid import UUID

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_participant
from app.accounts.models import Scope
from app.database import Db, now_in
from app.forms import Form, read_form
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.privacy.erasing.recipients import tell_of_correction
from app.privacy.records.models import RequestKind, RequestState
from app.privacy.records.register import note_request, receipt_number
from app.privacy.rights.items import items_of
from app.privacy.rights.my_data import foot_of
from app.sessions.disclosure_models import Disclosed
from app.sessions.supplements import LENGTH, add_supplement, supplements_by, take_back_supplement
from app.wiring import Wiring
from recordings.model import PersonId


@get("/my-data/supplements")
async def show_supplements(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    return await _page(request, db, wiring, require_participant(login, Scope.DATA), Form())


@post("/my-data/supplements")
async def add_mine(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """about: a recording or response of theirs; words. It counts at once, and stands in the register as done."""
    person = require_participant(login, Scope.DATA)
    participant = _participant(person)
    form = await read_form(request)
    about = form.choice("about", [str(one.id) for one in await items_of(db, participant)])
    words = form.text("words", length=LENGTH)
    if not form.fine:
        return await _page(request, db, wiring, person, form, status=422)
    await add_supplement(
        db, wiring.columns, account=person.account, participant=participant, about=UUID(about), words=words
    )
    now = await now_in(db)
    row = await note_request(
        db,
        account=person.account,
        participant=participant,
        kind=RequestKind.RECTIFICATION,
        state=RequestState.DONE,
        now=now,
        receipt=receipt_number(now),
    )
    await tell_of_correction(db, wiring, row, set(Disclosed) - {Disclosed.CONTACT})
    return Redirect("/my-data/supplements", status_code=303)


@post("/my-data/supplements/{supplement:uuid}/take-back")
async def take_mine_back(db: Db, login: Login, supplement: UUID) -> Redirect:
    person = require_participant(login, Scope.DATA)
    await take_back_supplement(db, participant=_participant(person), supplement=supplement)
    return Redirect("/my-data/supplements", status_code=303)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, person: SignedIn, form: Form, *, status: int = 200
) -> Template:
    participant = _participant(person)
    items = await items_of(db, participant)
    return page(
        "privacy/my_supplements.html",
        request,
        status=status,
        form=form,
        here="/my-data/supplements",
        items=items,
        titles={one.id: one for one in items},
        written=await supplements_by(db, wiring.columns, participant=participant),
        **await foot_of(db, wiring, person),
    )


def _participant(person: SignedIn) -> PersonId:
    assert person.participant is not None
    return person.participant


router = Router("/", route_handlers=[show_supplements, add_mine, take_mine_back], opt=FOR_PARTICIPANTS)
