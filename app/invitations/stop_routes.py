"""The links in mails that end them, invitations or mails about sessions: no login, one click, nothing but that."""

from __future__ import annotations

from litestar import get, post
from litestar.response import Template

from app.database import Db
from app.invitations.service import find_unsubscribe, unsubscribe
from app.language import reader
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.participants.models import Participant
from app.participants.service import foot, want_session_mails
from app.security import ANY_ORIGIN
from app.sessions.service import find_session
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId


@get("/unsubscribe/{token:str}", opt=FOR_PARTICIPANTS)
async def show_unsubscribe(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """Shows, and changes nothing: mail scanners open every link."""
    return await _unsubscribe_page(request, db, wiring, token, done=False)


@post("/unsubscribe/{token:str}", status_code=200, opt=ANY_ORIGIN | FOR_PARTICIPANTS)
async def act_unsubscribe(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """By the page's button, or one-click by the mail program (RFC 8058 §3.2): no cookie, no redirect, any body."""
    await unsubscribe(db, token=token)
    return await _unsubscribe_page(request, db, wiring, token, done=True)


@get("/unsubscribe/{token:str}/sessions", opt=FOR_PARTICIPANTS)
async def show_stop(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """Shows, and changes nothing: mail scanners open every link."""
    return await _stop_page(request, db, wiring, token, done=False)


@post("/unsubscribe/{token:str}/sessions", status_code=200, opt=ANY_ORIGIN | FOR_PARTICIPANTS)
async def stop_session_mails(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """By the page's button, or one-click by the mail program (RFC 8058 §3.2): no cookie, no redirect, any body. Of
    somebody erased there is nothing left to stop."""
    invitation = await find_unsubscribe(db, token)
    participant = await db.get_one(Participant, invitation.participant_id)
    if participant.erased_at is None:
        await want_session_mails(db, participant=PersonId(participant.id), wanted=False)
    return await _stop_page(request, db, wiring, token, done=True)


async def _unsubscribe_page(request: AnyRequest, db: Db, wiring: Wiring, token: str, *, done: bool) -> Template:
    here = f"/unsubscribe/{token}"
    return await _page("invitations/unsubscribe.html", here, request, db, wiring, token, done=done)


async def _stop_page(request: AnyRequest, db: Db, wiring: Wiring, token: str, *, done: bool) -> Template:
    here = f"/unsubscribe/{token}/sessions"
    return await _page("invitations/stop.html", here, request, db, wiring, token, done=done)


async def _page(
    template: str, here: str, request: AnyRequest, db: Db, wiring: Wiring, token: str, *, done: bool
) -> Template:
    """In the language of the study that the mail was about, and with its contact."""
    invitation = await find_unsubscribe(db, token)
    session = await find_session(db, invitation.session_id)
    study = await find_study(db, session.study_id)
    reader().study = study.language
    told = await foot(db, wiring, account=AccountId(invitation.account_id), study=study)
    return page(
        template, request, contact=told.contact, notice_date=told.notice_date, done=done, here=here, token=token
    )


handlers = [show_unsubscribe, act_unsubscribe, show_stop, stop_session_mails]
