"""Pages of holds: set one on a recording or on all of a session, lift it, and see which are to be reviewed."""

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
from app.database import Db, now_in
from app.errors import Conflict
from app.forms import Form, read_form
from app.pages import AnyRequest, page
from app.privacy.keeping.holds import (
    WORDS_FIELD,
    holds,
    read_hold,
    recording_to_hold,
    recordings_to_hold,
    release,
    set_hold,
)
from app.sessions.models import HoldReason, Recording, Session, SessionState
from app.sessions.service import find_session
from app.studies.service import find_study
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

PAGE_ROWS = 50


@get("/holds")
async def show_holds(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    await note_shown(db, require_member(login, Role.OWNER), Listed.HOLDS)
    lines = await holds(db, wiring.columns, await now_in(db), limit=PAGE_ROWS + 1, offset=(number - 1) * PAGE_ROWS)
    return page("privacy/holds.html", request, holds=lines[:PAGE_ROWS], number=number, more=len(lines) > PAGE_ROWS)


@get("/recordings/{recording:uuid}/hold")
async def show_hold(request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID) -> Template:
    owner = require_member(login, Role.OWNER)
    row = await recording_to_hold(db, recording)
    return await _page(request, db, wiring, owner, await find_session(db, row.session_id), [row], Form(), one=row)


@post("/recordings/{recording:uuid}/hold")
async def hold_recording(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, recording: UUID
) -> Template | Redirect:
    owner = require_member(login, Role.OWNER)
    row = await recording_to_hold(db, recording)
    session = await find_session(db, row.session_id)
    return await _hold(request, db, wiring, owner, session, [row], one=row)


@post("/recordings/{recording:uuid}/release")
async def release_recording(db: Db, login: Login, recording: UUID) -> Redirect:
    """What waited for it is erased now."""
    owner = require_member(login, Role.OWNER)
    await release(db, [await recording_to_hold(db, recording)], by=owner.as_member)
    return Redirect("/holds", status_code=303)


@get("/sessions/{session:uuid}/hold")
async def show_session_hold(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    owner = require_member(login, Role.OWNER)
    row = await find_session(db, session)
    return await _page(request, db, wiring, owner, row, await recordings_to_hold(db, session=session), Form())


@post("/sessions/{session:uuid}/hold")
async def hold_session(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template | Redirect:
    """Every recording of a session that is over."""
    owner = require_member(login, Role.OWNER)
    row = await find_session(db, session)
    if row.state != SessionState.ENDED:
        raise Conflict("The session is not over. End it first, then hold what was recorded.")
    return await _hold(request, db, wiring, owner, row, await recordings_to_hold(db, session=session))


@post("/sessions/{session:uuid}/release")
async def release_session(db: Db, login: Login, session: UUID) -> Redirect:
    owner = require_member(login, Role.OWNER)
    await find_session(db, session)
    await release(db, await recordings_to_hold(db, session=session), by=owner.as_member)
    return Redirect("/holds", status_code=303)


async def _hold(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    owner: SignedIn,
    session: Session,
    rows: Sequence[Recording],
    one: Recording | None = None,
) -> Template | Redirect:
    form = await read_form(request)
    typed = read_hold(form, await now_in(db))
    if typed is None:
        return await _page(request, db, wiring, owner, session, rows, form, one=one, status=422)
    await set_hold(db, wiring.columns, rows, typed, by=owner.as_member)
    return Redirect(f"/sessions/{session.id}", status_code=303)


async def _page(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    owner: SignedIn,
    session: Session,
    rows: Sequence[Recording],
    form: Form,
    *,
    one: Recording | None = None,
    status: int = 200,
) -> Template:
    """one: the recording it is about; None: all of the session."""
    held = [row for row in rows if row.held_reason is not None]
    first = held[0] if held else None
    words = ""
    if first is not None:
        await note_shown(db, owner, f"recording:{first.id}")
        account, person = AccountId(first.account_id), PersonId(first.person_id)
        words = wiring.columns.open(account, person, WORDS_FIELD, first.held_words)
    return page(
        "privacy/hold.html",
        request,
        status=status,
        form=form,
        session=session,
        study=await find_study(db, session.study_id),
        recording=one,
        count=len(rows),
        held=held,
        kept={
            "reason": first.held_reason if first else HoldReason.CLAIM,
            "words": words,
            "review": f"{first.held_until:%Y-%m-%d}" if first and first.held_until else "",
        },
        reasons=[(reason.value, reason.value.capitalize()) for reason in HoldReason],
        over=session.state == SessionState.ENDED,
    )


router = Router(
    "/",
    route_handlers=[
        show_holds,
        show_hold,
        hold_recording,
        release_recording,
        show_session_hold,
        hold_session,
        release_session,
    ],
)
