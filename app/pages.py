"""Pages: one Jinja environment, page() for every route, and errors as page or problem detail (RFC 9457)."""

from __future__ import annotations

import hashlib
import logging
import secrets
import traceback
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.exceptions import HTTPException
from litestar.response import Template
from litestar.template.config import TemplateConfig
from markupsafe import Markup
from sqlalchemy.exc import OperationalError

from app.errors import JunierError, NotThere, Unavailable
from app.settings import Settings
from recordings.encryption.keystore import KeyStoreError
from recordings.encryption.sealed import SealBroken
from recordings.storage.store import StoreError

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
PROBLEM = "application/problem+json"
AnyRequest = Request[Any, Any, Any]

log = logging.getLogger("junier.web")


def page(template: str, request: AnyRequest, *, status: int = 200, **context: Any) -> Template:
    """A page. Besides `context` every template knows `settings`, `login` (or None), `path` and `now`."""
    known = {"login": request.scope["state"].get("login"), "path": request.url.path, "now": datetime.now(UTC)}
    return Template(template_name=template, context=known | context, status_code=status, media_type=MediaType.HTML)


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
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {"settings": settings, "asset": asset}
    environment.filters |= {"moment": moment, "day": day, "duration": duration, "clock": clock, "size": size}
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


@lru_cache
def asset(name: str) -> str:
    """Address of a static file, with the beginning of its hash so that a new version is fetched at once."""
    file = STATIC / name
    if not file.exists():  # vendored packages come with `make setup`; pages stay readable without them
        return f"/static/{name}"
    return f"/static/{name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def moment(at: datetime | None, zone: str = "UTC") -> str | Markup:
    """3 May 2027, 14:32 (Europe/Berlin); the page's script shows it in the reader's own zone where it can."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone))
    text = f"{local.day} {local:%B %Y, %H:%M} ({zone})"
    return Markup('<time datetime="{}">{}</time>').format(at.astimezone(UTC).isoformat(timespec="seconds"), text)


def day(at: date | None, zone: str = "UTC") -> str:
    """3 May 2027; a moment (datetime) is shown as the day it falls on in `zone`."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone)) if isinstance(at, datetime) else at
    return f"{local.day} {local:%B %Y}"


def duration(milliseconds: int | None) -> str:
    """42 min 10 s."""
    if milliseconds is None:
        return ""
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


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
    400: "That could not be understood",
    401: "Please sign in",
    403: "Not allowed",
    404: "Not here",
    405: "Not possible here",
    409: "Not now",
    413: "Too large",
    415: "That format is not accepted",
    422: "Something does not fit",
    429: "Too many tries",
    503: "Not reachable just now",
}
FAULT = "Something went wrong on our side. Nothing you entered was shared. Please try again; if it stays, write to us."


def error_answer(request: AnyRequest, error: Exception) -> Response[Any]:
    """Every exception of a request ends here: a page for browsers, problem+json for programs."""
    status, message = status_and_message(error)
    reference = ""
    if status >= 500:
        reference = secrets.token_hex(4)
        # type and place only: messages of exceptions can carry personal data
        log.error("request failed: %s at %s, reference %s", type(error).__name__, place_of(error), reference)
    title = TITLES.get(status, "Something went wrong")
    headers = {"retry-after": "5"} if status == 503 else {}
    if "text/html" not in request.headers.get("accept", ""):
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
        login=request.scope.get("state", {}).get("login"),
        path=request.url.path,
    )
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)


def status_and_message(error: Exception) -> tuple[int, str]:
    """The one table from exceptions to what people see."""
    match error:
        case JunierError():
            return error.status, error.message
        case HTTPException(status_code=404):
            return 404, NotThere().message
        case HTTPException(status_code=400):
            return 400, "The address or the form does not fit. Please go back and try again."
        case HTTPException(status_code=405):
            return 405, "This page cannot be used that way."
        case HTTPException(status_code=413):
            return 413, "That is more than we accept at once."
        case HTTPException():
            return error.status_code, error.detail if error.status_code < 500 else FAULT
        case SealBroken():
            return (
                409,
                "What is stored here was changed or damaged, so it is not shown. Please tell the account's owner.",
            )
        case StoreError(retry=True) | KeyStoreError(retry=True) | OperationalError():
            return 503, Unavailable().message
        case _:
            return 500, FAULT


def place_of(error: BaseException) -> str:
    """file:line of the innermost frames, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
