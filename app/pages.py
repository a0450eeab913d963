"""Pages: one Jinja environment, page() for every route, and errors as page or problem detail (RFC 9457)."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.exceptions import HTTPException
from litestar.response import Template
from litestar.template.config import TemplateConfig
from markupsafe import Markup, escape
from sqlalchemy.exc import OperationalError

from app.errors import Gone, JunierError, NotThere, Unavailable
from app.forms import Form
from app.language import (
    N_,
    Reader,
    _,
    install,
    read_language,
    say_day,
    say_duration,
    say_moment,
    speak_to,
    translate_only,
)
from app.logs import place_of
from app.sections import section_of
from app.settings import Settings
from app.static_files import asset
from app.whole_loops import WholeLoops
from recordings.encryption.keystore import KeyDestroyed, KeyStoreError
from recordings.encryption.sealed import SealBroken
from recordings.storage.store import StoreError

TEMPLATES = Path(__file__).parent / "templates"
PROBLEM = "application/problem+json"
AnyRequest = Request[Any, Any, Any]

log = logging.getLogger("junier.web")


def page(template: str, request: AnyRequest, *, status: int = 200, **context: Any) -> Template:
    """A page. Besides `context` every template knows `settings`, `login` (or None), `path`, `now`,
    `carried` (see below) and `here`: the address to come back to, "" after a POST.

    A `form` in it that was not taken is told to programs as a problem with a reason for each field (RFC 9457);
    `wrong_lines`: more such pairs of a field and its reason."""
    form = context.get("form")
    if status >= 400 and isinstance(form, Form) and not reads_pages(request):
        return _refused_form(status, [*form.errors.items(), *context.get("wrong_lines", ())])
    known = {
        "login": request.scope["state"].get("login"),
        "path": request.url.path,
        "now": datetime.now(UTC),
        "carried": carried(request),
        "here": request.url.path if request.method == "GET" else "",
    }
    return Template(template_name=template, context=known | context, status_code=status, media_type=MediaType.HTML)


def reads_pages(request: AnyRequest) -> bool:
    """A browser; programs are told in problem+json."""
    return "text/html" in request.headers.get("accept", "")


def _refused_form(status: int, reasons: Iterable[tuple[str, str]]) -> Template:
    problem = {
        "type": "about:blank",
        "title": translate_only(TITLES[status]),
        "status": status,
        "detail": _("Something does not fit yet: nothing was saved."),
        "errors": [{"field": name, "detail": reason} for name, reason in reasons],
    }
    return Template(
        template_str="{{ problem | tojson }}", context={"problem": problem}, status_code=status, media_type=PROBLEM
    )


def render(template: str, request: AnyRequest, **context: Any) -> str:
    """A piece of a page as text, knowing what page() knows."""
    engine = request.app.template_engine
    assert isinstance(engine, JinjaTemplateEngine)
    return engine.get_template(template).render(page(template, request, **context).context)


def template_config(settings: Settings) -> TemplateConfig[JinjaTemplateEngine]:
    """Autoescaped, and strict: a template that names something unknown fails in tests, not in front of people."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.code_generator_class = WholeLoops
    install(environment)
    environment.globals |= {"settings": settings, "asset": asset, "section_of": section_of}
    environment.globals["once"] = cache  # of a macro: the same for what is given alike, as long as it is kept
    environment.filters |= {
        "moment": moment,
        "day": day,
        "duration": duration,
        "clock": clock,
        "size": size,
        "date_written": date.fromisoformat,
    }
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


# --- who reads -----------------------------------------------------------------------------------------------------

FOR_PARTICIPANTS = {"for_participants": True}
"""opt of a router or handler whose pages participants read, in their language; all others are in English."""

OWN_PAGE = re.compile(r"/(?!/)[\w./-]*", re.ASCII)
"""An address of ours to come back to."""


async def meet(request: AnyRequest) -> None:
    """The hook before every request."""
    greet(request)


def greet(request: AnyRequest) -> None:
    """This request speaks English, or what a participant's browser and address ask for."""
    reader = asking(request) if _for_participants(request) else Reader()
    request.scope["state"]["reader"] = reader
    speak_to(reader)


def _for_participants(request: AnyRequest) -> bool:
    """An address that leads nowhere is anybody's."""
    handler = request.scope.get("route_handler")
    return handler is None or bool(handler.opt.get("for_participants"))


def carried(request: AnyRequest) -> str:
    """?language=de where the address says so: forms pass it on until the participant's row can keep it."""
    explicit = read_language(request.query_params.get("language"))
    return f"?language={explicit}" if explicit else ""


def asking(request: AnyRequest) -> Reader:
    """What address and browser ask for."""
    return Reader(explicit=request.query_params.get("language"), header=request.headers.get("accept-language"))


# --- filters ------------------------------------------------------------------------------------------------------


def moment(at: datetime | None, zone: str = "UTC") -> str | Markup:
    """3 May 2027, 14:32 (Europe/Berlin); the page's script shows it in the reader's own zone where it can."""
    if at is None:
        return ""
    utc = at.astimezone(UTC).isoformat(timespec="seconds")
    return Markup(f'<time datetime="{utc}">{escape(say_moment(at, zone))}</time>')  # noqa: S704  digits, and escaped


def day(at: date | None, zone: str = "UTC") -> str:
    """3 May 2027; a moment (datetime) is shown as the day it falls on in `zone`."""
    return "" if at is None else say_day(at, zone)


def duration(milliseconds: int | None) -> str:
    """42 min 10 s."""
    return "" if milliseconds is None else say_duration(timedelta(milliseconds=milliseconds))


def clock(milliseconds: int) -> str:
    """1:02:03 or 2:03, for a place in a recording."""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def size(count: int) -> str:
    """12.3 MB, 0.04 MB."""
    return f"{count / 1_000_000:.{1 if count >= 1_000_000 else 2}f} MB"


# --- errors: one table -------------------------------------------------------------------------------------------

TITLES = {
    400: N_("That could not be understood"),
    401: N_("Please sign in"),
    403: N_("Not allowed"),
    404: N_("Not here"),
    405: N_("Not possible here"),
    409: N_("Not now"),
    410: N_("Closed"),
    413: N_("Too large"),
    415: N_("That format is not accepted"),
    422: N_("Something does not fit"),
    429: N_("Too many tries"),
    503: N_("Not reachable just now"),
}
FAULT = N_(
    "Something went wrong on our side. Nothing you entered was shared. Please try again; if it stays, write to us."
)


def error_answer(request: AnyRequest, error: Exception) -> Response[Any]:
    """Every exception of a request ends here: a page for browsers, problem+json for programs."""
    greeted = request.scope.setdefault("state", {}).get("reader")
    if greeted is None:  # no handler was found, or its guard refused
        greet(request)
    else:
        speak_to(greeted)
    status, message = status_and_message(error)
    reference = ""
    if status >= 500:
        reference = secrets.token_hex(4)
        # type and place only: messages of exceptions can carry personal data
        log.error("request failed: %s at %s, reference %s", type(error).__name__, place_of(error), reference)
    login = request.scope["state"].get("login")
    letter = login.participant is not None if login else _for_participants(request)
    title, message = translate_only(_title(status, letter, request.url.path)), translate_only(message)
    headers = {"retry-after": "5"} if status == 503 else {}
    if isinstance(error, HTTPException):
        headers |= error.headers or {}  # what the path allows, beside 405 (RFC 9110 §15.5.6)
    if retry_after_s := getattr(error, "retry_after_s", None):  # ours, or a media process's
        headers = {"retry-after": str(retry_after_s)}
    if not reads_pages(request):
        problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": message}
        if reference:
            problem["reference"] = reference
        return Response(problem, status_code=status, media_type=PROBLEM, headers=headers)
    environment = request.app.template_engine
    assert isinstance(environment, JinjaTemplateEngine)
    html = environment.get_template("error.html").render(
        title=title,
        message=message,
        status=status,
        reference=reference,
        login=login,
        path=request.url.path,
        letter=letter,
        here=_to_come_back_to(request, login) if letter else "",
        **request.scope["state"].get("foot", {}),
    )
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)


def _title(status: int, letter: bool, path: str) -> str:
    """Participants have no account to sign in to."""
    if letter and status == 401 and not path.startswith("/rooms/"):
        return N_("We need to know that it is you")
    return TITLES.get(status, N_("Something went wrong"))


def _to_come_back_to(request: AnyRequest, login: Any) -> str:
    """Where a choice of language on an error page leads: the same page; after a form a page that can be opened."""
    path = request.url.path
    if login and request.method != "GET":
        return "/my-data" if path.startswith("/my-data") else f"/take-part/{login.session}"
    return path if OWN_PAGE.fullmatch(path) else ""


def status_and_message(error: Exception) -> tuple[int, str]:
    """The one table from exceptions to what people see."""
    match error:
        case JunierError():
            return error.status, error.message
        case HTTPException(status_code=404):
            return 404, NotThere().message
        case HTTPException(status_code=400):
            return 400, N_("The address or the form does not fit. Please go back and try again.")
        case HTTPException(status_code=405):
            return 405, N_("This page cannot be used that way.")
        case HTTPException(status_code=413):
            return 413, N_("That is more than we accept at once.")
        case HTTPException():
            return error.status_code, error.detail if error.status_code < 500 else FAULT
        case SealBroken():
            return (
                409,
                N_("What is stored here was changed or damaged, so it is not shown. Please tell the account's owner."),
            )
        case StoreError() | KeyStoreError(retry=True) | OperationalError():
            return 503, Unavailable().message
        case KeyDestroyed():
            return Gone.status, Gone().message
        case KeyStoreError():
            return 503, N_(
                "The key to what is stored here is missing or damaged, so it cannot be read. Nothing was changed. "
                "Please tell the account's owner."
            )
        case _:
            return 500, FAULT
