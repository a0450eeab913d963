"""The owner's inbox of participants' requests: what waits, until when, and answering with words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.accounts.reads import Listed, note_shown
from app.accounts.service import member_names
from app.database import Db, now_in
from app.forms import Form, read_form
from app.language import gettext
from app.pages import AnyRequest, page
from app.privacy.erasing.recipients import count_waiting
from app.privacy.records.grounds import WORDS, Ground, grounds_for
from app.privacy.records.models import RequestKind, RequestOutcome
from app.privacy.rights.deciding import ANSWERS, Answer, answer, fits, lift
from app.privacy.rights.extending import extend
from app.privacy.rights.inbox import inbox, lines_of, text_of
from app.privacy.rights.items import Item, Outcome, items_of, outcomes_of
from app.privacy.rights.requests import find_request
from app.wiring import Wiring
from recordings.model import PersonId

PAGE_ROWS = 50
ANSWER_LENGTH = 5_000


@get("/requests")
async def show_requests(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    await note_shown(db, require_member(login, Role.OWNER), Listed.REQUESTS)
    lines = await inbox(db, wiring.columns, await now_in(db), limit=PAGE_ROWS + 1, offset=(number - 1) * PAGE_ROWS)
    return page(
        "privacy/requests.html",
        request,
        requests=lines[:PAGE_ROWS],
        to_tell=await count_waiting(db),
        number=number,
        more=len(lines) > PAGE_ROWS,
    )


@get("/requests/{data_request:uuid}")
async def show_request(request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID) -> Template:
    owner = require_member(login, Role.OWNER)
    return await _page(request, db, wiring, owner, data_request, Form())


@post("/requests/{data_request:uuid}/answer")
async def answer_request(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Template | Redirect:
    """outcome: granted, partly or refused; ground: why, of the list of the law; `item-<id>`: granted or a ground, for
    each thing it covers; words: mailed to the participant."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    row = await find_request(db, data_request)
    given = read_answer(form, RequestKind(row.kind), await items_of(db, row.participant_id))
    if given is None:
        return await _page(request, db, wiring, owner, data_request, form, status=422)
    await answer(db, wiring, request=data_request, given=given, by=owner.as_member)
    return Redirect(f"/requests/{data_request}", status_code=303)


@post("/requests/{data_request:uuid}/extend")
async def extend_request(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Template | Redirect:
    """Two more months, with a reason that is mailed to the participant."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    why = form.text("why", length=ANSWER_LENGTH)
    await find_request(db, data_request)
    if not form.fine:
        return await _page(request, db, wiring, owner, data_request, form, status=422)
    await extend(db, wiring, request=data_request, words=why, by=owner.as_member)
    return Redirect(f"/requests/{data_request}", status_code=303)


@post("/requests/{data_request:uuid}/lift")
async def lift_restriction(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, data_request: UUID
) -> Template | Redirect:
    """The participant is told first; the restriction ends when that mail is sent."""
    owner = require_member(login, Role.OWNER)
    form = await read_form(request)
    words = form.text("words", length=ANSWER_LENGTH)
    row = await find_request(db, data_request)
    ground = form.choice("ground", grounds_for(RequestKind(row.kind)))
    if not form.fine:
        return await _page(request, db, wiring, owner, data_request, form, status=422)
    await lift(db, wiring, request=data_request, words=words, ground=Ground(ground), by=owner.as_member)
    return Redirect(f"/requests/{data_request}", status_code=303)


async def _page(
    request: AnyRequest, db: Db, wiring: Wiring, owner: SignedIn, data_request: UUID, form: Form, *, status: int = 200
) -> Template:
    row = await find_request(db, data_request)
    await note_shown(db, owner, f"request:{data_request}")
    [line] = await lines_of(db, wiring.columns, [row], await now_in(db))
    names = await member_names(db, wiring.columns) if row.answered_by or row.noted_by else {}
    return page(
        "privacy/request.html",
        request,
        status=status,
        line=line,
        text=text_of(wiring.columns, row, (await outcomes_of(db, [row.id])).get(row.id, ())),
        answered_by=names.get(PersonId(row.answered_by), "") if row.answered_by else "",
        noted_by=names.get(PersonId(row.noted_by), "") if row.noted_by else "",
        form=form,
        grounds=[(ground, WORDS[ground]) for ground in grounds_for(RequestKind(row.kind))],
        items=await items_of(db, row.participant_id) if line.may_answer else [],
    )


def read_answer(form: Form, kind: RequestKind, items: Sequence[Item]) -> Answer | None:
    """None when something does not fit; the form says what."""
    outcome, words = form.choice("outcome", ANSWERS), form.text("words", length=ANSWER_LENGTH)
    known = grounds_for(kind)
    ground = form.choice("ground", known) if outcome == RequestOutcome.REFUSED else ""
    outcomes = []
    if outcome == RequestOutcome.PARTLY:
        for item in items:
            chosen = form.choice(f"item-{item.id}", (RequestOutcome.GRANTED, *known))
            if f"item-{item.id}" in form.errors:
                continue
            refusal = None if chosen == RequestOutcome.GRANTED else Ground(chosen)
            outcomes.append(Outcome(item=item, ground=refusal))
    if not form.fine:
        return None
    given = Answer(
        outcome=RequestOutcome(outcome), words=words, ground=Ground(ground) if ground else None, items=outcomes
    )
    decision = fits(kind, given)
    if not decision:
        form.errors["outcome"] = gettext(decision.reason)
        return None
    return given


router = Router("/", route_handlers=[show_requests, show_request, answer_request, extend_request, lift_restriction])
