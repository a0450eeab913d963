"""What a participant said, as it was written down: they read it under My data and correct it there (GDPR Art. 16)."""

from __future__ import annotations

from uuid import UUID

from litestar import Router, get, post
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_participant
from app.accounts.models import Scope
from app.database import Db
from app.forms import Form, read_form
from app.library.correcting import Line, line_of, lines_to_correct, take_correction
from app.library.service import Written, written
from app.pages import FOR_PARTICIPANTS, AnyRequest, page
from app.privacy.rights.my_data import foot_of
from app.wiring import Wiring


@get("/my-data/recordings/{recording:uuid}/transcript")
async def show_my_words(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID, line: Line = None
) -> Template:
    person = require_participant(login, Scope.DATA)
    return await _page(request, db, wiring, person, await _mine(db, wiring, person, recording), line, Form())


@post("/my-data/recordings/{recording:uuid}/transcript")
async def correct_my_words(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID
) -> Template | Redirect:
    """In force at once, for everybody who may read it."""
    person = require_participant(login, Scope.DATA)
    found = await _mine(db, wiring, person, recording)
    form = await read_form(request)
    if not await take_correction(db, wiring, found, form, by=person.actor):
        return await _page(request, db, wiring, person, found, line_of(form), form, status=422)
    return Redirect(f"/my-data/recordings/{recording}/transcript#line-{line_of(form)}", status_code=303)


async def _mine(db: Db, wiring: Wiring, person: SignedIn, recording: UUID) -> Written:
    """Also while it is restricted: nobody else reads it then. Raises NotThere for anybody else's."""
    assert person.participant is not None
    return await written(db, wiring, recording=recording, speaker=person.participant)


async def _page(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    person: SignedIn,
    found: Written,
    line: int | None,
    form: Form,
    *,
    status: int = 200,
) -> Template:
    return page(
        "privacy/my_words.html",
        request,
        status=status,
        lines=lines_to_correct(found),
        open_line=line,
        form=form,
        address=f"/my-data/recordings/{found.row.id}/transcript",
        **await foot_of(db, wiring, person),
    )


router = Router("/", route_handlers=[show_my_words, correct_my_words], opt=FOR_PARTICIPANTS)
