"""Mail templates -> subject, text and HTML, in the language spoken. What people typed stays in its place."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.forms import is_one_line
from app.language import install, say_day

FOLDER = Path(__file__).parent / "templates"


class UnsafeHeader(Exception):
    """A mail header would contain a line break or a direction mark."""

    retry = False


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The three parts of a mail. subject: one line."""

    subject: str
    text: str
    html: str


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=autoescape,  # noqa: S701 - off for the plain text parts only
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    install(environment)
    environment.filters["day"] = say_day
    return environment


_PLAIN, _HTML = _environment(False), _environment(True)


def render(template: str, context: Mapping[str, object]) -> Rendered:
    """app/mail/templates/<template>/{subject.txt,body.txt,body.html}. Values are data: markup and template
    syntax in them stay what they are. Raises UnsafeHeader when the subject would not be one line."""
    return Rendered(
        subject=header_safe(_PLAIN.get_template(f"{template}/subject.txt").render(context).strip()),
        text=_PLAIN.get_template(f"{template}/body.txt").render(context),
        html=_HTML.get_template(f"{template}/body.html").render(context),
    )


def header_safe(value: str) -> str:
    """`value`, fit for a mail header (RFC 5322 §2.2, no bidirectional marks). Raises UnsafeHeader."""
    value = unicodedata.normalize("NFC", value)
    if not is_one_line(value):
        raise UnsafeHeader
    return value
