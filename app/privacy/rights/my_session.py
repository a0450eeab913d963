"""When their session is: a participant takes it into their calendar, and says whether they are written to about it."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, Router, get, post
from litestar.response import Redirect

from app.accounts.login import Login, require_participant
from app.database import Db, now_in
from app.errors import BadInput, NotThere
from app.forms import read_form
from app.invitations.calendar_file import NAME, media_type
from app.invitations.service import invitation_of
from app.invitations.session_mails import calendar_of
from app.language import spoken
from app.pages import FOR_PARTICIPANTS, AnyRequest
from app.participants.service import want_session_mails
from app.privacy.rights.take_part import invited_to
from app.sessions.models import SessionState
from app.studies.service import Contact
from app.wiring import Wiring


@get("/take-part/{session:uuid}/calendar")
async def download_calendar(db: Db, wiring: Wiring, login: Login, session: UUID) -> Response[bytes]:
    """The same file as in the mails; there is none before a moment is set or once the session is over."""
    person = require_participant(login)
    invited = await invited_to(db, wiring, person, session)
    invitation = await invitation_of(db, session=session, participant=invited.participant)
    if invitation is None or invited.session.starts_at is None or invited.session.state == SessionState.ENDED:
        raise NotThere
    contact = Contact(name=invited.study.contact_name, email=invited.study.contact_email)
    text = calendar_of(invited.session, invitation, contact, spoken(), await now_in(db))
    headers = {"content-disposition": f'attachment; filename="{NAME}"', "cache-control": "no-store"}
    return Response(text.encode(), media_type=media_type(text), headers=headers)


@post("/take-part/{session:uuid}/mails")
async def want_mails(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Redirect:
    """wanted: yes or no; about all sessions they accepted with this account."""
    invited = await invited_to(db, wiring, require_participant(login), session)
    wanted = (await read_form(request)).values.get("wanted")
    if wanted not in ("yes", "no"):
        raise BadInput("Please say whether you want mails about your sessions: yes or no.")
    await want_session_mails(db, participant=invited.participant, wanted=wanted == "yes")
    return Redirect(f"/take-part/{session}", status_code=303)


router = Router("/", route_handlers=[download_calendar, want_mails], opt=FOR_PARTICIPANTS)
