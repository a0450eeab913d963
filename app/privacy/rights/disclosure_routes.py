"""Pages of disclosures: noting one beside a session, correcting it, the owner's register, and telling recipients."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.login import Login, SignedIn, require_member
from app.accounts.models import Role
from app.accounts.reads import Listed, note_shown
from app.database import Db, now_in
from app.forms import Form, read_form
from app.language import gettext
from app.pages import AnyRequest, page
from app.privacy.erasing.recipients import answer_notice
from app.privacy.rights.disclosing import (
    count_by_year,
    disclosure_of_notice,
    kept,
    lines_of,
    noted_in,
    people_of,
    read_given,
    read_told,
    to_tell,
)
from app.sessions.disclosure_models import Disclosure
from app.sessions.disclosures import (
    GROUND_WORDS,
    KIND_WORDS,
    LEAVES_FOR,
    SILENCE_WORDS,
    counting,
    disclosures_of,
    find_disclosure,
    note_disclosure,
)
from app.sessions.purposes import DownloadPurpose
from app.sessions.service import session_with_study
from app.wiring import Wiring
from recordings.model import PersonId

NOTING = (Role.OWNER, Role.RESEARCHER)
"""Whoever may take a copy along may give it to somebody."""
PAGE_ROWS = 50


@get("/disclosures")
async def show_disclosures(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template:
    """What is to be told to whom, and every entry that counts, newest first."""
    owner = require_member(login, Role.OWNER)
    return await _register(request, db, wiring, owner, Form(), number)


@post("/disclosures/notices/{notice:uuid}")
async def answer_one(request: AnyRequest, db: Db, wiring: Wiring, login: Login, notice: UUID) -> Template | Redirect:
    """told_on: the day the recipient was told; or ground: impossible or disproportionate, with words."""
    owner = require_member(login, Role.OWNER)
    row = await disclosure_of_notice(db, notice)
    form = await read_form(request)
    told = read_told(form, row.given_on, await now_in(db))
    if told is None:
        return await _register(request, db, wiring, owner, form, 1, at=notice, status=422)
    await answer_notice(db, wiring.columns, account=owner.account, notice=notice, told=told, by=owner.as_member)
    return Redirect("/disclosures", status_code=303)


@get("/sessions/{session:uuid}/disclosures")
async def show_noting(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template:
    """?purpose=…: somebody wanted to take a copy along for it; ?person=… and ?kind=…: ticked already."""
    member = require_member(login, *NOTING)
    query = request.query_params
    wanted = query.get("purpose", "")
    leaving = wanted if wanted in LEAVES_FOR else ""
    ground = str(LEAVES_FOR[DownloadPurpose(leaving)]) if leaving else ""
    about, _study = await session_with_study(db, session)
    today = (await now_in(db)).astimezone(ZoneInfo(about.time_zone)).date()  # as the researcher's calendar says
    values = {"ground": ground, "given_on": f"{today}"}
    form = Form(values=values, lists={"people": query.getall("person", []), "kinds": query.getall("kind", [])})
    return await _page(request, db, wiring, member, session, form, leaving=leaving)


@post("/sessions/{session:uuid}/disclosures")
async def note_one(request: AnyRequest, db: Db, wiring: Wiring, login: Login, session: UUID) -> Template | Redirect:
    """One entry for each of `people`: recipient, contact, kinds, ground, words, given_on, told, untold; of an owner
    hidden_ground and hidden_until."""
    member = require_member(login, *NOTING)
    await session_with_study(db, session)
    people = await people_of(db, wiring.columns, session)
    form = await read_form(request)
    chosen = form.choices("people", [str(one) for one in people])
    if not chosen:
        form.errors.setdefault("people", gettext("Please tick whose data it was."))
    owner = member.role is Role.OWNER
    given = read_given(form, await now_in(db), correcting=False, owner=owner)
    if given is None or not form.fine:
        return await _page(request, db, wiring, member, session, form, status=422)
    for one in chosen:
        await note_disclosure(
            db,
            wiring.columns,
            account=member.account,
            session=session,
            participant=PersonId(UUID(one)),
            given=given,
            by=member.as_member,
        )
    return Redirect(f"/sessions/{session}/disclosures", status_code=303)


@get("/disclosures/{disclosure:uuid}/correct")
async def show_correcting(request: AnyRequest, db: Db, wiring: Wiring, login: Login, disclosure: UUID) -> Template:
    member = require_member(login, *NOTING)
    row = await find_disclosure(db, disclosure)
    return await _page(request, db, wiring, member, row.session_id, kept(wiring.columns, row), row=row)


@post("/disclosures/{disclosure:uuid}/correct")
async def correct_one(
    request: AnyRequest, db: Db, wiring: Wiring, login: Login, disclosure: UUID
) -> Template | Redirect:
    """The same fields; the former entry stays, and this one counts. nothing: it was noted by mistake."""
    member = require_member(login, *NOTING)
    row = await find_disclosure(db, disclosure)
    form = await read_form(request)
    owner = member.role is Role.OWNER
    if not owner and row.hidden_until is not None:
        form.errors["hidden_ground"] = gettext("Only an owner can correct what the participant may not be told.")
    given = read_given(form, await now_in(db), correcting=True, owner=owner)
    people = await people_of(db, wiring.columns, row.session_id)
    if row.participant_id not in people:
        form.errors["recipient"] = gettext("This participant was erased: the entry stays as it is.")
    if given is None or not form.fine:
        return await _page(request, db, wiring, member, row.session_id, form, row=row, status=422)
    await note_disclosure(
        db,
        wiring.columns,
        account=member.account,
        session=row.session_id,
        participant=PersonId(row.participant_id),
        given=given,
        by=member.as_member,
        corrects=row.id,
    )
    return Redirect(f"/sessions/{row.session_id}/disclosures", status_code=303)


async def _register(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    owner: SignedIn,
    form: Form,
    number: int,
    *,
    at: UUID | None = None,
    status: int = 200,
) -> Template:
    """at: the notice that the form is about."""
    await note_shown(db, owner, Listed.DISCLOSURES)
    rows = [row for row in counting(await disclosures_of(db)) if row.kinds]
    shown = rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    return page(
        "privacy/disclosures.html",
        request,
        status=status,
        form=form,
        at=at,
        waiting=await to_tell(db, wiring.columns),
        lines=await lines_of(db, wiring.columns, shown),
        counts=count_by_year(rows),
        number=number,
        more=len(rows) > number * PAGE_ROWS,
    )


async def _page(
    request: AnyRequest,
    db: Db,
    wiring: Wiring,
    member: SignedIn,
    session: UUID,
    form: Form,
    *,
    row: Disclosure | None = None,
    leaving: str = "",
    status: int = 200,
) -> Template:
    """row: the entry that is corrected; leaving: the purpose of the copy that waits for an entry."""
    of, study = await session_with_study(db, session)
    await note_shown(db, member, f"session:{session}")  # says nothing of an entry they may not know of yet
    lines = await noted_in(db, wiring.columns, session) if row is None else await lines_of(db, wiring.columns, [row])
    return page(
        "privacy/disclosures_of_session.html",
        request,
        status=status,
        form=form,
        session=of,
        study=study,
        correcting=row,
        leaving=leaving,
        people=await people_of(db, wiring.columns, session),
        lines=[line for line in lines if line.row.kinds],
        kinds=KIND_WORDS,
        grounds=[("", gettext("Please choose")), *((one.value, gettext(words)) for one, words in GROUND_WORDS.items())],
        silences=[("", gettext("They may be told")), *((one.value, gettext(w)) for one, w in SILENCE_WORDS.items())],
        owner=member.role is Role.OWNER,
    )


router = Router(
    "/",
    route_handlers=[show_disclosures, answer_one, show_noting, note_one, show_correcting, correct_one],
)
