"""Whom the error page of a participant names: like every page of theirs, the contact of their study and its notice."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import Scope
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.login import cookie_name, find_login
from app.errors import JunierError
from app.language import speak_to
from app.pages import asking
from app.participants.models import Participant
from app.privacy.rights.my_data import foot_of
from app.wiring import Wiring
from recordings.encryption.keystore import KeyStoreError


async def whom_to_ask(_error: Exception, scope: Scope) -> None:
    """An after_exception hook: it runs before the answer is written, whether or not a handler was reached. Puts login,
    reader and foot of a participant who will see a page into the request's state. Never raises for what is not there
    any more or cannot be reached: then the page names the platform alone."""
    if scope["type"] != ScopeType.HTTP:
        return
    request: Request[Any, Any, Any] = Request(scope)
    wiring: Wiring = request.app.state.wiring
    token = request.cookies.get(cookie_name(wiring.settings))
    if not token or "text/html" not in request.headers.get("accept", ""):
        return
    state = scope.setdefault("state", {})
    try:
        async with wiring.database.transaction() as db:
            person = await find_login(db, wiring.columns, token)
            if person is None or person.participant is None:
                return
            row = await db.get_one(Participant, person.participant)
            theirs = asking(request)
            theirs.stored = row.language
            speak_to(theirs)
            foot = await foot_of(db, wiring, person)
    except (JunierError, SQLAlchemyError, KeyStoreError, OSError):
        return
    state |= {"login": person, "reader": theirs, "foot": foot}
