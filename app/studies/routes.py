"""Pages of studies: the start page, a new one, changing one. The page that shows one stands with its sessions."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.params import Parameter
from litestar.response import Redirect, Template

from app.accounts.agreement import agreement_stands
from app.accounts.login import Login, require_member
from app.accounts.members import find_member
from app.accounts.models import Role
from app.database import Db
from app.forms import Form, read_form
from app.language import N_
from app.pages import page
from app.studies import question_routes
from app.studies.clocks import idle_days
from app.studies.forms import LANGUAGES, REMINDERS, RETENTION, SEEN_BY, read_study, shown_study
from app.studies.models import ConsentKind, Reminder
from app.studies.retention import limits_of, shortens
from app.studies.service import (
    change_study,
    close_study,
    consent_texts,
    contact_of,
    create_study,
    find_study,
    list_studies,
    newest_consent_text,
    reopen_study,
)
from app.studies.tallies import tallies_of_study, tallies_table
from app.wiring import Wiring

PAGE_ROWS = 50
KIND_HINTS = {
    ConsentKind.VIDEO: N_("The picture of the participant's camera."),
    ConsentKind.AUDIO: N_("The sound of their microphone."),
    ConsentKind.SCREEN: N_("The screen, window or tab they share, with the sound of a shared tab."),
    ConsentKind.TRANSCRIPT: N_("Their spoken words, written down on your own server."),
}
EXAMPLE_CONSENT = (
    "We would like to watch how you use our product and hear what you think while you do. "
    "Only our research team sees the recording. We use it to improve the product and for nothing else. "
    "Taking part is your choice; you can stop at any moment without giving a reason."
)


@get("/")
async def show_studies(
    request: Request[Any, Any, Any],
    db: Db,
    login: Login,
    number: Annotated[int, Parameter(query="page", ge=1, le=100_000)] = 1,
) -> Template | Redirect:
    if login is None or login.member is None:
        return Redirect("/sign-in", status_code=303)
    rows = await list_studies(db, limit=PAGE_ROWS + 1, offset=(number - 1) * PAGE_ROWS)
    return page(
        "studies/list.html",
        request,
        studies=rows[:PAGE_ROWS],
        number=number,
        more=len(rows) > PAGE_ROWS,
        may_create=login.role in (Role.OWNER, Role.RESEARCHER),
        agreed=await agreement_stands(db),
    )


@get("/studies/new")
async def show_new(request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login) -> Template:
    """Filled in as far as it can be known; whoever asks is most often whom participants may ask."""
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    assert member.member is not None
    contact = await find_member(db, wiring.columns, member.member)
    default = (await limits_of(db, member.account)).default
    shown = shown_study(
        contact_name=contact.name,
        contact_email=contact.email,
        consent_text=EXAMPLE_CONSENT,
        retention_days=default,
    )
    return _form_page(request, shown, study=None)


@post("/studies")
async def create(request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login) -> Template | Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    form = await read_form(request)
    typed = read_study(form, longest=(await limits_of(db, member.account)).longest)
    if typed is None:
        return _form_page(request, form, study=None, status=422)
    study = await create_study(
        db,
        wiring.columns,
        account=member.account,
        title=typed.title,
        contact_name=typed.contact_name,
        contact_email=typed.contact_email,
        consent_text=typed.consent_text,
        kinds=typed.kinds,
        language=typed.language,
        retention_days=typed.retention_days,
        questions_words=typed.questions_words,
        assigned_only=bool(typed.assigned_only),
        reminder=typed.reminder or Reminder.DAY,
        by=member.actor,
    )
    return Redirect(f"/studies/{study}", status_code=303)


@get("/studies/{study:uuid}/edit")
async def show_edit(request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, study: UUID) -> Template:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_study(db, study)
    contact = contact_of(wiring.columns, row)
    form = shown_study(
        title=row.title,
        contact_name=contact.name,
        contact_email=contact.email,
        consent_text=(await newest_consent_text(db, study)).text,
        kinds=row.kinds,
        language=row.language,
        retention_days=row.retention_days,
        questions_words=row.questions_words,
        assigned_only=row.assigned_only,
        reminder=row.reminder,
    )
    return _form_page(request, form, study=study, owner=member.role is Role.OWNER, idle=idle_days(row.periods))


@post("/studies/{study:uuid}/edit")
async def update(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, study: UUID
) -> Template | Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    row = await find_study(db, study)
    form = await read_form(request)
    owner = member.role is Role.OWNER
    if not owner:  # how long things are kept is the owner's instruction
        kept = shown_study(retention_days=row.retention_days).values
        form.values = {**form.values, "retention": kept["retention"], "retention_days": kept["retention_days"]}
        form.values.pop("seen_by", None)  # and so is who sees the sessions
    typed = read_study(form, longest=(await limits_of(db, member.account)).longest if owner else None)
    if typed is None:
        return _form_page(request, form, study=study, owner=owner, idle=idle_days(row.periods), status=422)
    shorter = shortens(row.retention_days, typed.retention_days)  # first lists what it erases, then takes effect
    await change_study(
        db,
        wiring.columns,
        study=study,
        title=typed.title,
        contact_name=typed.contact_name,
        contact_email=typed.contact_email,
        consent_text=typed.consent_text,
        kinds=typed.kinds,
        language=typed.language,
        retention_days=row.retention_days if shorter else typed.retention_days,
        questions_words=typed.questions_words,
        assigned_only=typed.assigned_only,
        reminder=typed.reminder,
        by=member.actor,
    )
    if shorter:
        return Redirect(f"/studies/{study}/retention?days={typed.retention_days}", status_code=303)
    return Redirect(f"/studies/{study}", status_code=303)


@get("/studies/{study:uuid}/consent-texts")
async def show_consent_texts(
    request: Request[Any, Any, Any], db: Db, wiring: Wiring, login: Login, study: UUID
) -> Template:
    """Every version with its date and writer: consents name the version they were given to."""
    require_member(login)
    row = await find_study(db, study)
    texts = await consent_texts(db, wiring.columns, study)
    return page("studies/consent_texts.html", request, study=row, texts=texts)


@get("/studies/{study:uuid}/tallies.csv")
async def download_tallies(db: Db, login: Login, study: UUID) -> Response[bytes]:
    """For whoever may see them on the study's page. Nothing in it leads to a person, so no purpose is asked for."""
    require_member(login)
    await find_study(db, study)
    return Response(
        tallies_table(await tallies_of_study(db, study)),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="tallies-{study}.csv"', "cache-control": "no-store"},
    )


@get("/studies/{study:uuid}/close")
async def confirm_close(request: Request[Any, Any, Any], db: Db, login: Login, study: UUID) -> Template:
    """Says what closing means and asks once."""
    require_member(login, Role.OWNER, Role.RESEARCHER)
    return page("studies/close.html", request, study=await find_study(db, study))


@post("/studies/{study:uuid}/close")
async def close(db: Db, login: Login, study: UUID) -> Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    await close_study(db, study=study, by=member.actor)
    return Redirect(f"/studies/{study}", status_code=303)


@post("/studies/{study:uuid}/reopen")
async def reopen(db: Db, login: Login, study: UUID) -> Redirect:
    member = require_member(login, Role.OWNER, Role.RESEARCHER)
    await reopen_study(db, study=study, by=member.actor)
    return Redirect(f"/studies/{study}", status_code=303)


def _form_page(
    request: Request[Any, Any, Any],
    form: Form,
    *,
    study: UUID | None,
    owner: bool = True,
    idle: int | None = None,
    status: int = 200,
) -> Template:
    """idle: days after which everything goes, counted from each participant's last session."""
    return page(
        "studies/form.html",
        request,
        status=status,
        form=form,
        study=study,
        owner=owner,
        idle=idle,
        languages=LANGUAGES,
        retention=RETENTION,
        seen_by=SEEN_BY,
        reminders=REMINDERS,
        kinds=KIND_HINTS,
    )


router = Router(
    "/",
    route_handlers=[
        show_studies,
        show_new,
        create,
        show_edit,
        update,
        show_consent_texts,
        download_tallies,
        confirm_close,
        close,
        reopen,
        *question_routes.handlers,
    ],
)
