"""The page on which a participant corrects their address: the new one first, then the code that was mailed to it."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_participant
from app.accounts.models import Scope
from app.database import Db
from app.forms import Form, read_form
from app.language import gettext as _
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.forms import read_code
from app.participants.models import Participant
from app.participants.service import ADDRESS_FIELD, EMAIL_FIELD
from app.privacy.rights.address import ask_address, confirm_address, mail_address_code, pending_change
from app.privacy.rights.my_data import foot_of
from app.sealed_columns import normalise_address
from app.wiring import Wiring
from recordings.model import PersonId


@get("/my-data/address")
async def show_address(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    return await _page(request, db, wiring, require_participant(login, Scope.DATA), Form())


@post("/my-data/address")
async def send_address(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """email: the new address. Nothing changes before its code was typed."""
    person = require_participant(login, Scope.DATA)
    form = await read_form(request)
    email = form.email("email")
    if form.fine and normalise_address(email) == normalise_address(await _present(db, wiring, person)):
        form.errors["email"] = _("This is your address already.")
    if not form.fine:
        return await _page(request, db, wiring, person, form, status=422)
    asked = await ask_address(db, wiring, account=person.account, participant=_participant(person), email=email)
    return Redirect("/my-data/address", status_code=303, background=BackgroundTask(mail_address_code, wiring, asked))


@post("/my-data/address/confirm")
async def send_address_code(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """code: as it was mailed to the new address."""
    person = require_participant(login, Scope.DATA)
    form = await read_form(request)
    code = read_code(form)
    if code is not None:
        decision = await confirm_address(
            db, wiring, account=person.account, participant=_participant(person), login=person.login_id, code=code
        )
        if decision:
            return Redirect("/my-data", status_code=303)
        form.errors["code"] = _(decision.reason)
    return await _page(request, db, wiring, person, form, status=422)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, person: SignedIn, form: Form, *, status: int = 200
) -> Template:
    change = await pending_change(db, _participant(person))
    waiting = change and wiring.columns.open(person.account, _participant(person), ADDRESS_FIELD, change.address)
    return page(
        "privacy/my_address.html",
        request,
        status=status,
        form=form,
        present=await _present(db, wiring, person),
        waiting=waiting or "",
        **await foot_of(db, wiring, person),
    )


async def _present(db: Db, wiring: Wiring, person: SignedIn) -> str:
    row = await db.get_one(Participant, person.participant)
    return wiring.columns.open(person.account, _participant(person), EMAIL_FIELD, row.email)


def _participant(person: SignedIn) -> PersonId:
    assert person.participant is not None
    return person.participant


router = Router("/", route_handlers=[show_address, send_address, send_address_code], opt=FOR_PARTICIPANTS)
