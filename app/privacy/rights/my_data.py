"""My data: what is held about a participant, and the buttons that end it. Opened by a fresh code mailed to
the registered address, so that a forwarded invitation shows and erases nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Router, get, post
from litestar.response import Redirect, Template
from sqlalchemy import func, select

from app.accounts.login import Login, SignedIn, end_login, require_participant, start_login
from app.accounts.models import Account, Scope
from app.audit import Action, record
from app.database import Db, now_in
from app.errors import NotThere
from app.forms import Form, read_form
from app.invitations.models import Invitation
from app.language import gettext, kept_in_address, reader
from app.mail.service import is_suppressed, stop_waiting, unsubscribe_address
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.forms import read_change, read_code
from app.participants.models import Participant
from app.participants.service import AddressLost, ask_code, check_code, code_waits, foot
from app.privacy.erasing.certificate import signing_key
from app.privacy.erasing.receipts import receipt_token
from app.privacy.erasing.service import ask_erasure
from app.privacy.erasing.withdrawal import withdraw
from app.privacy.records.models import Erasure, ErasureReason
from app.privacy.rights.disclosing import told_to
from app.privacy.rights.holdings import holdings
from app.privacy.rights.inbox import requests_of
from app.privacy.rights.take_part import invited_to
from app.privacy.rights.where_invited import places_of
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.sessions.models import Recording, Session
from app.sessions.service import find_session
from app.studies.clocks import Kind
from app.studies.models import ConsentKind, Study
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import PersonId, SessionId


@get("/my-data")
async def show_my_data(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    person = require_participant(login)
    if person.scope is not Scope.DATA:
        return await _code_page(request, db, wiring, person, Form())
    assert person.participant is not None
    row = await db.get_one(Participant, person.participant)
    places = await places_of(db, participant=person.participant)  # kept: the foot asks for these rows too
    foot = await foot_of(db, wiring, person)
    account = await db.get_one(Account, person.account)
    held = await holdings(db, wiring.columns, row, places)
    key = signing_key(wiring.settings.data_dir)
    asked = await db.scalars(
        select(Erasure).where(Erasure.person_id == person.participant).order_by(Erasure.asked_at.desc())
    )
    return page(
        "privacy/my_data.html",
        request,
        held=held,
        account_name=account.name,
        contact_days=account.periods.get(Kind.CONTACT),
        unsubscribed=row.email_index is not None and await is_suppressed(db, address_index=row.email_index),
        given=await told_to(db, wiring.columns, participant=person.participant, now=await now_in(db)),
        receipts=[(one, receipt_token(key, person.account, one.id)) for one in asked],
        form=Form(),
        requests=await requests_of(db, wiring.columns, person.participant, await now_in(db)),
        restricted=row.restricted_at is not None
        or any(one.restricted for session in held.sessions for one in session.recordings),
        **foot,
    )


@get("/my-data/code")
async def show_code(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """Where the mailed code is typed. A phone that forgot this page meanwhile loads it again, and no new code goes."""
    person = require_participant(login)
    assert person.participant is not None
    if person.scope is Scope.DATA or not await code_waits(db, participant=person.participant):
        return Redirect("/my-data", status_code=303)
    return await _code_page(request, db, wiring, person, Form(), sent=True)


@post("/my-data/code")
async def send_code(db: Db, wiring: Wiring, login: Login) -> Redirect:
    """Mail a code to the registered address; never to one typed here."""
    person = require_participant(login)
    assert person.participant is not None
    await ask_code(
        db,
        wiring,
        account=person.account,
        participant=person.participant,
        study=(await _session_and_study(db, person))[1],
    )
    await record(db, account=person.account, actor=person.actor, action=Action.CODE_ASKED, subject=person.actor)
    return Redirect("/my-data/code", status_code=303)


@post("/my-data/open")
async def open_my_data(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    """The right code opens stored data for ten minutes in this browser."""
    person = require_participant(login)
    assert person.participant is not None
    form = await read_form(request)
    code = read_code(form)
    if code is None:
        return await _code_page(request, db, wiring, person, form, sent=True, status=422)
    decision = await check_code(db, participant=person.participant, code=code)
    if not decision:
        form.errors["code"] = gettext(decision.reason)
        return await _code_page(request, db, wiring, person, form, sent=True, status=422)
    actor = f"participant:{person.participant}"
    await record(db, account=person.account, actor=actor, action=Action.DATA_OPENED, subject=actor)
    await end_login(db, wiring.settings, person)
    cookie = await start_login(
        db,
        wiring.settings,
        account=person.account,
        scope=Scope.DATA,
        participant=person.participant,
        session=person.session,
    )
    return Redirect("/my-data", status_code=303, cookies=[cookie])


@post("/my-data/{session:uuid}/withdraw")
async def withdraw_kind(
    request: AnyRequest, db: Db, wiring: Wiring, node: NodeClient | None, login: Login, session: UUID
) -> Redirect:
    person = require_participant(login, Scope.DATA)
    assert person.participant is not None
    invited = await invited_to(db, wiring, person, session, withdrawn_too=True)
    form = await read_form(request)
    change = read_change(Form(values=dict(form.values) | {"given": "no"}), list(ConsentKind))
    await withdraw(
        db,
        account=person.account,
        participant=person.participant,
        session=SessionId(session),
        kind=change.kind,
        shown=invited.notice,
    )
    await db.commit()
    if node is not None:
        await push_session(wiring, node, account=person.account, session=session)
    return Redirect("/my-data", status_code=303)


@post("/my-data/unsubscribe")
async def unsubscribe_me(db: Db, wiring: Wiring, login: Login) -> Redirect:
    """No more invitations of this account, as the link in each mail does."""
    person = require_participant(login, Scope.DATA)
    row = await db.get(Participant, person.participant)
    if row is None or row.email_index is None:
        raise NotThere
    await unsubscribe_address(db, account=person.account, address_index=row.email_index)
    await stop_waiting(db, person=PersonId(row.id))
    await record(
        db,
        account=person.account,
        actor=f"participant:{row.id}",
        action=Action.UNSUBSCRIBED,
        subject=f"participant:{row.id}",
    )
    return Redirect("/my-data", status_code=303)


@get("/my-data/erase")
async def confirm_erase(request: AnyRequest, db: Db, wiring: Wiring, login: Login) -> Template:
    """Says what will go and asks once."""
    person = require_participant(login, Scope.DATA)
    assert person.participant is not None
    count = await db.scalar(select(func.count()).where(Recording.person_id == person.participant))
    given = await told_to(db, wiring.columns, participant=person.participant, now=await now_in(db))
    return page("privacy/erase_me.html", request, count=count, given=given, **await foot_of(db, wiring, person))


@post("/my-data/erase")
async def erase_me(db: Db, wiring: Wiring, node: NodeClient | None, login: Login) -> Redirect:
    """Everything about this participant in this account; the answer is the receipt."""
    person = require_participant(login, Scope.DATA)
    assert person.participant is not None
    sessions = list(
        await db.scalars(select(Invitation.session_id).where(Invitation.participant_id == person.participant))
    )
    erasure = await ask_erasure(
        db,
        account=person.account,
        person=person.participant,
        reason=ErasureReason.REQUEST,
        asked_by=f"participant:{person.participant}",
        instruction="request of the participant, address confirmed by code",
    )
    cookie = await end_login(db, wiring.settings, person)
    await db.commit()
    if node is not None:
        for session in sessions:
            await push_session(wiring, node, account=person.account, session=session)
    token = receipt_token(signing_key(wiring.settings.data_dir), person.account, erasure.id)
    return Redirect(f"/receipt/{token}{kept_in_address()}", status_code=303, cookies=[cookie])


async def _code_page(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    person: SignedIn,
    form: Form,
    *,
    sent: bool = False,
    status: int = 200,
) -> Template:
    """Does not show the address: whoever holds a forwarded link gets here too."""
    row = await db.get_one(Participant, person.participant)
    return page(
        "privacy/my_data_code.html",
        request,
        status=status,
        form=form,
        sent=sent,
        lost=gettext(AddressLost().message) if row.email is None else "",
        here="/my-data/code" if sent else "/my-data",
        **await foot_of(db, wiring, person),
    )


async def _session_and_study(db: Db, person: SignedIn) -> tuple[Session, Study]:
    """Of this login; contact and notice of the study stand in the foot."""
    if person.session is None:
        raise NotThere
    session = await find_session(db, person.session)
    study = await find_study(db, session.study_id)
    reader().study = study.language
    return session, study


async def foot_of(db: Db, wiring: Wiring, person: SignedIn) -> dict[str, Any]:
    """The foot of every page about this person's data."""
    _session, study = await _session_and_study(db, person)
    told = await foot(db, wiring, account=person.account, study=study)
    return {
        "contact": told.contact,
        "notice_date": told.notice_date,
        "notice_link": f"/take-part/{person.session}/notice",
    }


router = Router(
    "/",
    route_handlers=[
        show_my_data,
        show_code,
        send_code,
        open_my_data,
        withdraw_kind,
        unsubscribe_me,
        confirm_erase,
        erase_me,
    ],
    opt=FOR_PARTICIPANTS,
)
