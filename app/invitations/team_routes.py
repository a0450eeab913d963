"""Assigning members to a session, and ending it: by owners, and by researchers who see the session themselves."""

from __future__ import annotations

from uuid import UUID

from litestar import post
from litestar.response import Redirect

from app.accounts.assignments import assign, unassign
from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.database import Db
from app.errors import BadInput
from app.forms import read_form
from app.invitations.earlier import earlier_sessions
from app.pages import AnyRequest
from app.sessions.service import find_session


@post("/sessions/{session:uuid}/team")
async def assign_member(request: AnyRequest, db: Db, login: Login, session: UUID) -> Redirect:
    """Form field `member`: its id."""
    by = require_member(login, Role.OWNER, Role.RESEARCHER)
    await find_session(db, session)
    chosen = (await read_form(request)).values.get("member", "")
    try:
        member = UUID(chosen)
    except ValueError:
        raise BadInput("Please choose somebody of your team.") from None
    await assign(db, account=by.account, session=session, member=member, by=by.actor)
    return _back(session)


@post("/sessions/{session:uuid}/team/{member:uuid}/earlier")
async def assign_earlier(db: Db, login: Login, session: UUID, member: UUID) -> Redirect:
    """Also to the earlier sessions of the people of this one, in this study. Safe to run twice."""
    by = require_member(login, Role.OWNER, Role.RESEARCHER)
    await find_session(db, session)
    for one in [session, *await earlier_sessions(db, session)]:
        await assign(db, account=by.account, session=one, member=member, by=by.actor)
    return _back(session)


@post("/sessions/{session:uuid}/team/{member:uuid}/end")
async def end_assignment(db: Db, login: Login, session: UUID, member: UUID) -> Redirect:
    """Whoever ends their own does not come back to it."""
    by = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_session(db, session)
    await unassign(db, account=by.account, session=session, member=member, by=by.actor)
    if member == by.member and by.role is not Role.OWNER:
        return Redirect(f"/studies/{row.study_id}", status_code=303)
    return _back(session)


def _back(session: UUID) -> Redirect:
    return Redirect(f"/sessions/{session}#team", status_code=303)


handlers = [assign_member, assign_earlier, end_assignment]
