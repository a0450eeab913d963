"""The page on which a list of people is pasted or uploaded, looked at, and then invited. Needs no JavaScript."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from litestar import get, post
from litestar.datastructures import UploadFile
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.database import Db
from app.forms import Form, read_form
from app.invitations.forms import WORDS_LENGTH
from app.invitations.invite_list import CheckedList, Outcome, check_list, invite_list, require_group
from app.invitations.people_list import ROWS_AT_ONCE, FileText, UnreadableList, read_file, read_people
from app.invitations.service import CannotInvite
from app.language import N_, _
from app.pages import AnyRequest, page
from app.sessions.models import Session
from app.sessions.service import find_session
from app.studies.service import find_study
from app.wiring import Wiring

GUESSED = N_(
    "The file is not in Unicode (UTF-8), so it was read as Windows-1252, as Excel writes it. "
    "Please look whether every name is right; if not, save it as “CSV UTF-8” and choose it again."
)
CHANGED = N_("The list, or what is known of its people, has changed since you looked at it. Please look again.")


@get("/sessions/{session:uuid}/invitations/list")
async def show_list(request: AnyRequest, db: Db, login: Login, session: UUID) -> Template:
    require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_session(db, session)
    require_group(row)
    return await _list_page(request, db, row, Form())


@post("/sessions/{session:uuid}/invitations/list")
async def send_list(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template | Redirect:
    """Shows what would happen; with `step` invite it happens, if it is exactly what was shown (`seen`)."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_session(db, session)
    require_group(row)
    form = await read_form(request)
    words = form.text("words", required=False, length=WORDS_LENGTH)
    remarks: tuple[str, ...] = ()
    try:
        upload = await _upload(request)
        if upload is not None:
            form = replace(form, values={**form.values, "people": upload.text})
            remarks = (GUESSED,) if upload.guessed else ()
        people = read_people(form.values.get("people", ""))
    except UnreadableList as error:
        form.errors["people"] = error.message
        return await _list_page(request, db, row, form, status=422)
    checked = await check_list(db, wiring, account=member.account, session=session, rows=people.rows)
    remarks += people.remarks
    if form.values.get("step") == "invite" and upload is None and form.fine and checked.importable:
        if form.values.get("seen") != checked.fingerprint:
            remarks = (CHANGED, *remarks)
        elif await _invited(db, wiring, member, session, checked, words, form):
            return Redirect(f"/sessions/{session}#people", status_code=303)
    status = 200 if form.fine and checked.importable else 422
    return await _list_page(request, db, row, form, checked=checked, remarks=remarks, status=status)


async def _invited(
    db: Db, wiring: Wiring, member: SignedIn, session: UUID, checked: CheckedList, words: str, form: Form
) -> bool:
    assert member.member is not None
    try:
        await invite_list(
            db, wiring, account=member.account, session=session, checked=checked, words=words, by=member.member
        )
    except CannotInvite as error:
        form.errors["people"] = error.message
        return False
    return True


async def _upload(request: AnyRequest) -> FileText | None:
    """The file, where one was chosen. Raises UnreadableList."""
    file = (await request.form()).get("file")
    data = await file.read() if isinstance(file, UploadFile) else b""
    return read_file(data) if data else None


async def _list_page(
    request: AnyRequest,
    db: Db,
    session: Session,
    form: Form,
    *,
    checked: CheckedList | None = None,
    remarks: tuple[str, ...] = (),
    status: int = 200,
) -> Template:
    wrong = [one for one in checked.rows if one.outcome is Outcome.WRONG] if checked else []
    return page(
        "invitations/list.html",
        request,
        status=status,
        wrong_lines=[("people", _("Line %(line)s: %(words)s", line=one.row.line, words=one.words)) for one in wrong],
        study=await find_study(db, session.study_id),
        session=session,
        form=form,
        checked=checked,
        remarks=remarks,
        limit=ROWS_AT_ONCE,
    )


handlers = [show_list, send_list]
