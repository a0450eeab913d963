"""The choice of language in the foot of participants' pages."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, post
from litestar.response import Redirect

from app.accounts.login import Login, require_participant
from app.database import Db
from app.errors import BadInput
from app.forms import read_form
from app.language import read_language
from app.pages import FOR_PARTICIPANTS, OWN_PAGE
from app.participants.service import keep_language


@post("/language")
async def choose_language(request: Request[Any, Any, Any], db: Db, login: Login) -> Redirect:
    """Kept with the participant, so that pages and mails speak it from now on; `back` is the page they were on."""
    person = require_participant(login)
    assert person.participant is not None
    form = await read_form(request)
    language, back = read_language(form.values.get("language")), form.values.get("back", "")
    if language is None or not OWN_PAGE.fullmatch(back):
        raise BadInput("Please choose one of the languages in the foot of the page.")
    await keep_language(db, participant=person.participant, language=language)
    return Redirect(back, status_code=303)


router = Router("/", route_handlers=[choose_language], opt=FOR_PARTICIPANTS)
