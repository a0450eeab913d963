"""Pages of operators: what they asked for, and the one object that a grant opens. Nobody else finds them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.response import Redirect, Template

from app.database import Db
from app.forms import Form, read_form
from app.language import _
from app.library.routes import media_answer
from app.library.service import find_media, recording_lines
from app.pages import AnyRequest, page
from app.support.forms import read_minutes, read_request
from app.support.listing import for_operator
from app.support.login import SignedInOperator, operator_of, require_operator
from app.support.objects import shown
from app.support.policy import MINUTES
from app.support.reading import enter, granted, lasts, note_reading, recordings_of
from app.support.requests import NoSuchObject, NotNow, ask, enter_to_answer, grant, refuse, revoke
from app.wiring import Wiring


@get("/support")
async def show_support(request: AnyRequest, db: Db, wiring: Wiring) -> Template | Redirect:
    operator = await operator_of(request, db, wiring)
    if operator is None or not operator.proven:
        return Redirect("/support/passkey" if operator else "/support/sign-in", status_code=303)
    return await _page(request, db, wiring, operator, Form())


@post("/support/requests")
async def ask_for_access(request: AnyRequest, db: Db, wiring: Wiring) -> Template | Redirect:
    operator = await require_operator(request, db, wiring)
    form = await read_form(request)
    asked = read_request(form)
    if asked is None:
        return await _page(request, db, wiring, operator, form, status=422)
    try:
        await ask(
            db,
            wiring,
            operator=operator,
            account=asked.account,
            kind=asked.kind,
            object_id=asked.object_id,
            reason=asked.reason,
        )
    except (NoSuchObject, NotNow) as error:
        form.errors["object"] = _(error.message)
        return await _page(request, db, wiring, operator, form, status=error.status)
    return Redirect("/support", status_code=303)


@post("/support/requests/{support:uuid}/grant")
async def grant_to_other(request: AnyRequest, db: Db, wiring: Wiring, support: UUID) -> Template | Redirect:
    """As the second operator."""
    operator = await require_operator(request, db, wiring)
    form = await read_form(request)
    await enter_to_answer(db, operator=operator, request=support)
    minutes = read_minutes(form)
    if minutes is None:
        return await _page(request, db, wiring, operator, form, status=422)
    await grant(db, wiring, request=support, minutes=minutes, by=operator.actor)
    return Redirect("/support", status_code=303)


@post("/support/requests/{support:uuid}/refuse")
async def refuse_other(request: AnyRequest, db: Db, wiring: Wiring, support: UUID) -> Redirect:
    operator = await require_operator(request, db, wiring)
    await enter_to_answer(db, operator=operator, request=support)
    await refuse(db, wiring, request=support, by=operator.actor)
    return Redirect("/support", status_code=303)


@get("/support/grants/{support:uuid}")
async def show_object(request: AnyRequest, db: Db, wiring: Wiring, support: UUID) -> Template:
    operator = await require_operator(request, db, wiring)
    row = await enter(db, operator, support)
    subject = f"{row.object_kind}:{row.object_id}"
    await note_reading(db, wiring, operator, row, subject=subject, what="page")
    object_ = await shown(db, await recordings_of(db, row))
    await db.commit()
    return page("support/object.html", request, operator=operator, grant=row, object=object_)


@get("/support/grants/{support:uuid}/recordings/{recording:uuid}/media")
async def show_media(request: AnyRequest, db: Db, wiring: Wiring, support: UUID, recording: UUID) -> Response[Any]:
    """Each range asks for the grant anew, and so does a long one while it is sent."""
    operator = await require_operator(request, db, wiring)
    row = await enter(db, operator, support)
    await note_reading(db, wiring, operator, row, subject=f"recording:{recording}", what="media")
    await granted(db, row, recording)
    media = await find_media(db, recording=recording)
    await db.commit()
    return await media_answer(request, wiring, media, lambda: lasts(wiring.database, operator, support))


@get("/support/grants/{support:uuid}/recordings/{recording:uuid}/transcript")
async def show_transcript(request: AnyRequest, db: Db, wiring: Wiring, support: UUID, recording: UUID) -> Template:
    operator = await require_operator(request, db, wiring)
    row = await enter(db, operator, support)
    await note_reading(db, wiring, operator, row, subject=f"recording:{recording}", what="transcript")
    await granted(db, row, recording)
    lines = await recording_lines(db, wiring, recording=recording)
    await db.commit()
    return page("support/transcript.html", request, operator=operator, grant=row, recording=recording, lines=lines)


@post("/support/grants/{support:uuid}/end")
async def give_back(request: AnyRequest, db: Db, wiring: Wiring, support: UUID) -> Redirect:
    """Done before the time is over."""
    operator = await require_operator(request, db, wiring)
    await enter(db, operator, support)
    await revoke(db, request=support, by=operator.actor)
    return Redirect("/support", status_code=303)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, operator: SignedInOperator, form: Form, status: int = 200
) -> Template:
    own, others = await for_operator(db, wiring.columns, operator)
    return page(
        "support/operator.html",
        request,
        status=status,
        operator=operator,
        own=own,
        others=others,
        minutes=MINUTES,
        form=form,
    )


handlers = [
    show_support,
    ask_for_access,
    grant_to_other,
    refuse_other,
    show_object,
    show_media,
    show_transcript,
    give_back,
]
