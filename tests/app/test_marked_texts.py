"""Whatever a page says goes through gettext: no text stands in a template or in a page's module unmarked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from babel.messages.jslexer import tokenize
from jinja2 import Environment, nodes

from app.pages import TEMPLATES
from app.static_files import STATIC

MARKS = {"_", "gettext", "ngettext"}
DEVELOPMENT_ONLY = "mail/"  # the outbox, which nobody but a developer sees
NAMES = {"WebM", "UTC", "page", "narrow"}  # and the classes of block wide
TOLD_ATTRIBUTES = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"')
TAG = re.compile(r"<!--.*?-->|<[^>]*>|[\w-]+=\"[^\"]*\"", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")
SENTENCE = re.compile(r"^[A-Z][a-z]|^(?!.*(?:<|playsinline)).*[a-z] [a-z]")
"""A label or a few words; no name of a field, kind or file, and no markup."""
SCRIPTS = sorted(str(file.relative_to(STATIC)) for folder in ("js", "room") for file in (STATIC / folder).rglob("*.js"))
SCRIPT_MARKS = {"_", "ngettext", "Error"}  # an Error's words are for who repairs the page
SCRIPT_NAMES = re.compile(r"[#.].*|\w*Error|Enter|Arrow|Page(Up|Down)|PublicKeyCredential")
"""Selectors, and what the browser itself calls errors, keys and interfaces."""


def unmarked(source: str) -> Iterator[str]:
    """Words outside of marks: in the markup, in attributes that are read out, and in strings of expressions."""
    environment = Environment(extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True)
    tree = environment.parse(source)
    markup = "".join(_said(tree))
    for text in (TAG.sub(" ", markup), *TOLD_ATTRIBUTES.findall(markup)):
        yield from (word for word in WORD.findall(text.replace("&amp;", " ")) if word not in NAMES)
    yield from (text for text in _strings(tree) if SENTENCE.search(text))


def _said(node: nodes.Node) -> Iterator[str]:
    for inner in node.iter_child_nodes():
        if isinstance(inner, nodes.TemplateData):
            yield f"{inner.data} "
        else:
            yield from _said(inner)


def _strings(node: nodes.Node) -> Iterator[str]:
    for inner in node.iter_child_nodes():
        if isinstance(inner, nodes.Pair):
            inner = inner.value
        if isinstance(inner, nodes.Call) and isinstance(inner.node, nodes.Name) and inner.node.name in MARKS:
            continue
        if isinstance(inner, nodes.Compare | nodes.Test):  # with values that nobody reads
            continue
        if isinstance(inner, nodes.Const) and isinstance(inner.value, str):
            yield inner.value
        yield from _strings(inner)


def unmarked_in_script(source: str) -> Iterator[str]:
    """Sentences outside of marks; no keys of objects and nothing that is only compared with."""
    tokens = [token for token in tokenize(source) if not token.type.endswith("comment")]
    calls: list[str] = []
    for before, token, after in zip(["", *(one.value for one in tokens)], tokens, [*tokens[1:], None], strict=False):
        follows = after.value if after else ""
        if token.value == "(":
            calls.append(before)
        elif token.value == ")" and calls:
            calls.pop()
        elif token.type in ("string", "template_string") and not (calls and calls[-1] in SCRIPT_MARKS):
            text = re.sub(r"\$\{.*?\}", "", token.value[1:-1])
            is_key = before in ("{", ",") and follows == ":"
            compared = {before, follows} & {"===", "!=="}
            if SENTENCE.search(text) and not (is_key or compared or SCRIPT_NAMES.fullmatch(text)):
                yield text


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_text_of_a_module_is_marked(name: str) -> None:
    assert list(unmarked_in_script((STATIC / name).read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('say(place, _("Please try again."));', []),
        ('say(place, on ? _("Mute") : "Switch on");', ["Switch on"]),
        ('const WHY = { "no room": _("It is full.") };', []),
        ('const WHY = { full: "It is full." };', ["It is full."]),
        ('if (key === "Enter") throw new Error("the page has no list");', []),
        ("told.textContent = `Kept at ${time}.`;", ["Kept at ."]),
        ('page.querySelector("#notes button");', []),
    ],
)
def test_what_is_not_marked_in_a_module_is_found(source: str, found: list[str]) -> None:
    assert list(unmarked_in_script(source)) == found


@pytest.mark.parametrize("name", sorted(str(file.relative_to(TEMPLATES)) for file in TEMPLATES.rglob("*.html")))
def test_every_text_of_a_page_is_marked(name: str) -> None:
    if not name.startswith(DEVELOPMENT_ONLY):
        assert list(unmarked((TEMPLATES / name).read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>{{ _('Hello you') }}</p>", []),
        ("<p>{% trans name=n %}Hello {{ name }}{% endtrans %}</p>", []),
        ("<p>Hello</p>", ["Hello"]),
        ('<a aria-label="Hold {{ x }}">{{ x }}</a>', ["Hold"]),
        ("{{ field(form, 'name', 'First name') }}", ["First name"]),
        ("{{ 'Renew' if held else _('Set') }}", ["Renew"]),
        ('<td class="small" data-label="{{ _(\'When\') }}">{{ at | moment }}</td>', []),
    ],
)
def test_what_is_not_marked_is_found(source: str, found: list[str]) -> None:
    assert list(unmarked(source)) == found
