"""The page on which a transcript is corrected line by line, for researchers; the speaker has theirs under My data."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.login import Login, require_member
from app.accounts.models import Role
from app.audit import Action
from app.database import Db
from app.forms import Form, read_form
from app.library.corrections import TEXT_LENGTH, correct_line
from app.library.lines import Spoken
from app.library.reads import note_read
from app.library.service import Written, written
from app.pages import AnyRequest, page
from app.sessions.service import find_session
from app.wiring import Wiring

LONGEST_MS = 10**9
Line = Annotated[int | None, Parameter(query="line", ge=0, le=LONGEST_MS)]
"""?line=…: where the line begins that is open for correction, in milliseconds."""


@get("/recordings/{recording:uuid}/transcript/corrections")
async def show_correcting(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID, line: Line = None
) -> Template:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    found = await written(db, wiring, recording=recording)
    await note_read(db, member, Action.SESSION_REVIEWED, f"session:{found.row.session_id}")
    return await _page(request, db, found, line, Form())


@post("/recordings/{recording:uuid}/transcript/corrections")
async def correct(request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID) -> Template | Redirect:
    """start_ms: where the line begins; text: what is said there."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    found = await written(db, wiring, recording=recording)
    form = await read_form(request)
    if not await take_correction(db, wiring, found, form, by=member.actor):
        await note_read(db, member, Action.SESSION_REVIEWED, f"session:{found.row.session_id}")
        return await _page(request, db, found, line_of(form), form, status=422)
    return Redirect(f"/recordings/{recording}/transcript/corrections#line-{line_of(form)}", status_code=303)


async def take_correction(db: Db, wiring: Wiring, found: Written, form: Form, *, by: str) -> bool:
    """Write down the correction that was sent; False when it does not fit (the form says why). Raises NotThere."""
    start_ms = form.number("start_ms", at_least=0, at_most=LONGEST_MS - 1)
    said = " ".join(form.text("text", length=TEXT_LENGTH).split())
    if form.fine:
        await correct_line(
            db,
            wiring.columns,
            row=found.row,
            transcript=found.transcript,
            text=found.text,
            start_ms=start_ms,
            said=said,
            by=by,
        )
    return form.fine


def line_of(form: Form) -> int | None:
    """The line a form was sent for."""
    said = form.values.get("start_ms", "").strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


def lines_to_correct(found: Written) -> list[Spoken]:
    return [line for line in found.lines if isinstance(line, Spoken)]


async def _page(
    request: AnyRequest, db: Db, found: Written, line: int | None, form: Form, *, status: int = 200
) -> Template:
    return page(
        "library/correcting.html",
        request,
        status=status,
        session=await find_session(db, found.row.session_id),
        lines=lines_to_correct(found),
        open_line=line,
        form=form,
        address=f"/recordings/{found.row.id}/transcript/corrections",
    )


handlers = [show_correcting, correct]
