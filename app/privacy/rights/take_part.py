"""A participant's way in: the invitation, the consent page with its switches, the privacy notice.

Opening a link spends nothing, since mail scanners open every link; only the button registers. The
link never leads to stored data: that takes a code mailed to the registered address (my_data.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_participant, start_login
from app.accounts.models import Scope
from app.database import Db
from app.errors import NotThere, SignInNeeded
from app.forms import Form, read_form
from app.invitations.models import Invitation
from app.invitations.service import LinkUnknown, accept, find_by_token, invitation_behind, invitation_of
from app.invitations.session_mail_policy import SessionMail
from app.invitations.session_mails import tell
from app.language import read_language, reader
from app.pages import FOR_PARTICIPANTS, AnyRequest, page, reads_pages
from app.participants.consents import entries, give_consent, standing_consents
from app.participants.forms import read_change, read_registration, read_switches
from app.participants.models import Participant
from app.participants.notice import Notice, StudyFacts, hashes, kind_words
from app.participants.policy import current, outdated
from app.participants.service import OtherAddress, keep_language, register, study_notice, wants_session_mails
from app.privacy.erasing.withdrawal import withdraw
from app.room.node_client import NodeClient
from app.room.permission import push_session
from app.sessions.models import Session, SessionState
from app.sessions.responses import count_questions
from app.sessions.service import find_session
from app.studies.models import ConsentKind
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, SessionId


class ProofNeeded(SignInNeeded):
    """This session is over. Please take it back under My data, where a mailed code shows that it is you."""


@dataclass(frozen=True, kw_only=True)
class Invited:
    """What a page about one participant in one session needs. texts: what a consent must have been given to;
    proven: by a code sent to their address."""

    account: AccountId
    participant: PersonId
    session: Session
    study: StudyFacts
    notice: Notice
    texts: dict[str, bytes]
    proven: bool = False

    @property
    def context(self) -> dict[str, Any]:
        """For the templates; contact and notice stand in the foot of every page."""
        return {
            "session": self.session,
            "study": self.study,
            "notice": self.notice,
            "contact": {"name": self.study.contact_name, "email": self.study.contact_email},
            "notice_date": self.notice.dated,
            "notice_link": f"/take-part/{self.session.id}/notice",
            "kind_words": {kind: kind_words(kind) for kind in ConsentKind},
        }


@get("/i/{token:str}")
async def show_invitation(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """Shows, and changes nothing."""
    invitation = await _open_invitation(db, token)
    if invitation is None:
        return await _closed(request, db, wiring, token)
    return await _invitation_page(request, db, wiring, invitation, token, Form())


@post("/i/{token:str}")
async def take_up_invitation(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, token: str
) -> Template | Redirect:
    """Register with exactly name and e-mail address; the next times just come in again."""
    form = await read_form(request)
    invitation = await _open_invitation(db, token)
    if invitation is None:
        return await _closed(request, db, wiring, token)
    account, participant = AccountId(invitation.account_id), PersonId(invitation.participant_id)
    row = await db.get_one(Participant, participant)
    session = await find_session(db, invitation.session_id)
    reader().study = (await find_study(db, session.study_id)).language
    if row.registered_at is None or form.values:
        typed = read_registration(form)
        if typed is None:
            return await _invitation_page(request, db, wiring, invitation, token, form, status=422)
        try:
            await register(db, wiring.columns, account=account, participant=participant, typed=typed)
        except OtherAddress as error:
            form.errors["email"] = error.message
            return await _invitation_page(request, db, wiring, invitation, token, form, status=422)
    if invitation.accepted_at is None:
        await accept(db, invitation=invitation)
        await db.flush()
        await db.refresh(session)  # whoever moves or cancels it at this moment waits for us, or is seen here
        await tell(db, wiring, invitation=invitation, mail=SessionMail.CONFIRMED)
    return await _come_in(db, wiring, login, invitation, f"/take-part/{invitation.session_id}")


@post("/i/{token:str}/data")
async def go_to_data(request: AnyRequest, db: Db, wiring: Wiring, login: Login, token: str) -> Template | Redirect:
    """The way to My data, which an expired invitation still opens; what is held there needs the mailed code."""
    try:
        invitation = await find_by_token(db, token, for_data=True)
    except NotThere:
        return await _closed(request, db, wiring, token)
    return await _come_in(db, wiring, login, invitation, "/my-data")


@get("/take-part/{session:uuid}")
async def show_consent(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    """The switches; once the session is over, where what came of them stands."""
    invited = await invited_to(db, wiring, require_participant(login), session)
    if invited.session.state == SessionState.ENDED:
        study = invited.session.study_id
        questions = await count_questions(db, study=study, session=session, participant=invited.participant)
        return page("participants/over.html", request, questions=questions, **invited.context)
    log = await entries(db, session=SessionId(session), participant=invited.participant)
    changed = outdated(log, invited.texts)
    return page(
        "participants/consent.html",
        request,
        given=current(log, invited.texts),
        decided=bool(log),
        changed=changed,
        changed_words=[kind_words(kind)[0] for kind in ConsentKind if kind in changed],
        mails_wanted=await wants_session_mails(db, participant=invited.participant),
        **invited.context,
    )


@post("/take-part/{session:uuid}")
async def save_consent(
    request: AnyRequest, db: Db, wiring: Wiring, node: NodeClient | None, login: Login, session: UUID
) -> Redirect:
    """All switches as they stand on the page: ticked is given, unticked is not given or withdrawn. A switch that
    stands unticked because its text has changed takes nothing back: it was never shown as on."""
    invited = await invited_to(db, wiring, require_participant(login), session)
    ticked = read_switches(await read_form(request), invited.study.kinds)
    log = await entries(db, session=SessionId(session), participant=invited.participant)
    for kind in invited.study.kinds:
        if kind in ticked or kind not in outdated(log, invited.texts):
            await _set(db, wiring, invited, kind, kind in ticked)
    await _tell_room(db, wiring, node, invited)
    return Redirect(f"/rooms/{session}", status_code=303)


@post("/take-part/{session:uuid}/consent")
async def change_consent(
    request: AnyRequest, db: Db, wiring: Wiring, node: NodeClient | None, login: Login, session: UUID
) -> Response[Any]:
    """One switch (kind, given = yes or no), moved in the room."""
    invited = await invited_to(db, wiring, require_participant(login), session)
    change = read_change(await read_form(request), invited.study.kinds)
    await _set(db, wiring, invited, change.kind, change.given)
    await _tell_room(db, wiring, node, invited)
    if "text/html" in request.headers.get("accept", ""):
        return Redirect(f"/take-part/{session}", status_code=303)
    return Response({"kind": change.kind, "given": change.given}, status_code=200)


@get("/take-part/{session:uuid}/notice")
async def show_notice(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    """Also when the invitation was withdrawn: what was recorded before was recorded under it."""
    invited = await invited_to(db, wiring, require_participant(login), session, withdrawn_too=True)
    return page("participants/notice.html", request, **invited.context)


async def invited_to(db: Db, wiring: Wiring, login: SignedIn, session: UUID, *, withdrawn_too: bool = False) -> Invited:
    """The session this participant is invited to. Another one does not exist for them: raises NotThere.
    withdrawn_too: for what a person may do even when the invitation was withdrawn, such as taking back a consent."""
    assert login.participant is not None
    if login.scope is Scope.ROOM and login.session != session:
        raise NotThere
    invitation = await invitation_of(db, session=session, participant=login.participant)
    if invitation is None or (invitation.revoked_at is not None and not withdrawn_too):
        raise NotThere
    return replace(await _invited(db, wiring, invitation), proven=login.scope is Scope.DATA)


async def _invited(db: Db, wiring: Wiring, invitation: Invitation) -> Invited:
    account = AccountId(invitation.account_id)
    session = await find_session(db, invitation.session_id)
    study = await find_study(db, session.study_id)
    reader().study = study.language
    facts, notice = await study_notice(db, wiring.columns, wiring.settings, account=account, study=study)
    return Invited(
        account=account,
        participant=PersonId(invitation.participant_id),
        session=session,
        study=facts,
        notice=notice,
        texts=hashes(wiring.settings, facts),
    )


async def _set(db: Db, wiring: Wiring, invited: Invited, kind: ConsentKind, given: bool) -> None:
    """In the room one click takes back; afterwards that would let a forwarded link erase. Raises ProofNeeded."""
    if not given and invited.session.state == SessionState.ENDED and not invited.proven:
        if kind in await standing_consents(db, session=SessionId(invited.session.id), participant=invited.participant):
            raise ProofNeeded
        return
    change = give_consent if given else withdraw
    await change(
        db,
        account=invited.account,
        participant=invited.participant,
        session=SessionId(invited.session.id),
        kind=kind,
        shown=invited.notice,
    )


async def _tell_room(db: Db, wiring: Wiring, node: NodeClient | None, invited: Invited) -> None:
    """Once it is committed the media process hears of it: capture stops within a second, not at the next page."""
    await db.commit()
    if node is not None:
        await push_session(wiring, node, account=invited.account, session=invited.session.id)


async def _open_invitation(db: Db, token: str) -> Invitation | None:
    """None for unknown, withdrawn, expired and erased alike: none of them is taken up any more."""
    try:
        return await find_by_token(db, token)
    except NotThere:
        return None


async def _invitation_page(
    request: AnyRequest, db: Db, wiring: Wiring, invitation: Invitation, token: str, form: Form, status: int = 200
) -> Template:
    """Shows nothing of the person, not even the name: whoever was forwarded the mail would read it."""
    invited = await _invited(db, wiring, invitation)
    row = await db.get_one(Participant, invited.participant)
    context = invited.context | {"notice_link": "#notice", "here": f"/i/{quote(token)}"}
    return page(
        "participants/invitation.html",
        request,
        status=status,
        form=form,
        token=token,
        known=row.registered_at is not None,
        **context,
    )


async def _closed(request: AnyRequest, db: Db, wiring: Wiring, token: str) -> Template:
    """Whom to ask for a new link, and the way to what is still held. Of somebody erased nothing is known any more.
    Raises LinkUnknown for programs."""
    if not reads_pages(request):
        raise LinkUnknown
    invitation = await invitation_behind(db, token)
    context: dict[str, Any] = {"contact": None, "held": False}
    if invitation is not None and (await db.get_one(Participant, invitation.participant_id)).erased_at is None:
        context = (await _invited(db, wiring, invitation)).context | {"notice_link": "", "held": True}
    here = f"/i/{quote(token)}"
    return page("participants/closed_link.html", request, status=404, **context | {"token": token, "here": here})


async def _come_in(db: Db, wiring: Wiring, login: SignedIn | None, invitation: Invitation, where: str) -> Redirect:
    """A login for this participant, and on to an address without the secret. A language chosen before is kept."""
    chosen = read_language(reader().explicit)
    if chosen is not None:
        await keep_language(db, participant=PersonId(invitation.participant_id), language=chosen)
    cookie = await start_login(
        db,
        wiring.settings,
        account=AccountId(invitation.account_id),
        scope=Scope.ROOM,
        participant=PersonId(invitation.participant_id),
        session=SessionId(invitation.session_id),
        former=login,
    )
    return Redirect(where, status_code=303, cookies=[cookie])


router = Router(
    "/",
    route_handlers=[
        show_invitation,
        take_up_invitation,
        go_to_data,
        show_consent,
        save_consent,
        change_consent,
        show_notice,
    ],
    opt=FOR_PARTICIPANTS,
)
