"""The link in the mail about a request that was noted for a participant: it shows which, sends the code, and under My
data they say whether it is theirs. It names nobody, and works as long as the request is open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, require_participant, start_login
from app.accounts.models import Account, Scope
from app.audit import Action, record
from app.database import Db, set_account
from app.errors import NotThere
from app.language import reader
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.models import Participant
from app.participants.service import ask_code, foot
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import REQUEST, read_receipt_token
from app.privacy.records.models import DataRequest, RequestState
from app.privacy.rights.confirming import confirm, disown
from app.privacy.rights.requests import UNANSWERED
from app.privacy.rights.where_invited import Place, places_of
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, SessionId


@get("/asked/{token:str}")
async def show_asked(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """Changes nothing: mail scanners open every link."""
    row, place = await _behind(db, wiring, token)
    return page(
        "privacy/asked.html",
        request,
        row=row,
        token=token,
        here=f"/asked/{token}",
        account_name=(await db.get_one(Account, row.account_id)).name,
        **await _foot(db, wiring, row, place),
    )


@post("/asked/{token:str}")
async def go_to_confirm(db: Db, wiring: Wiring, login: Login, token: str) -> Redirect:
    """Mails the code to the registered address, and on to where it is typed."""
    row, place = await _behind(db, wiring, token)
    account, participant = AccountId(row.account_id), PersonId(row.participant_id)
    await ask_code(db, wiring, account=account, participant=participant, study=place.study)
    actor = f"participant:{participant}"
    await record(db, account=account, actor=actor, action=Action.CODE_ASKED, subject=actor)
    cookie = await start_login(
        db,
        wiring.settings,
        account=account,
        scope=Scope.ROOM,
        participant=participant,
        session=SessionId(place.session.id),
        former=login,
    )
    return Redirect("/my-data/code", status_code=303, cookies=[cookie])


@post("/my-data/requests/{data_request:uuid}/confirm")
async def confirm_request(db: Db, wiring: Wiring, login: Login, data_request: UUID) -> Redirect:
    person = require_participant(login, Scope.DATA)
    assert person.participant is not None
    await confirm(db, wiring, participant=person.participant, request=data_request)
    return Redirect("/my-data#requests", status_code=303)


@post("/my-data/requests/{data_request:uuid}/disown")
async def disown_request(db: Db, login: Login, data_request: UUID) -> Redirect:
    person = require_participant(login, Scope.DATA)
    assert person.participant is not None
    await disown(db, participant=person.participant, request=data_request)
    return Redirect("/my-data#requests", status_code=303)


async def _behind(db: Db, wiring: Wiring, token: str) -> tuple[DataRequest, Place]:
    """Sets the account. Raises NotThere for a link that was not made here, or whose request is over."""
    found = read_receipt_token(signing_key(wiring.settings.data_dir), token, REQUEST)
    if found is None:
        raise NotThere
    await set_account(db, found[0])
    row = await db.get(DataRequest, found[1])
    if row is None or RequestState(row.state) not in UNANSWERED:
        raise NotThere
    person = await db.get_one(Participant, row.participant_id)
    places = await places_of(db, participant=PersonId(row.participant_id))
    if person.erased_at is not None or not places:
        raise NotThere
    return row, places[-1]


async def _foot(db: Db, wiring: Wiring, row: DataRequest, place: Place) -> dict[str, Any]:
    reader().study = place.study.language
    told = await foot(db, wiring, account=AccountId(row.account_id), study=place.study)
    return {"contact": told.contact, "notice_date": told.notice_date}


router = Router("/", route_handlers=[show_asked, go_to_confirm, confirm_request, disown_request], opt=FOR_PARTICIPANTS)
