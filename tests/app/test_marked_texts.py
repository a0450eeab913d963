"""Whatever a page says goes through gettext: no text stands in a template unmarked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from jinja2 import Environment, nodes

from app.pages import TEMPLATES

MARKS = {"_", "gettext", "ngettext"}
DEVELOPMENT_ONLY = "mail/"  # the outbox, which nobody but a developer sees
NAMES = {"WebM", "UTC", "page", "narrow"}  # and the classes of block wide
TOLD_ATTRIBUTES = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"')
TAG = re.compile(r"<!--.*?-->|<[^>]*>|[\w-]+=\"[^\"]*\"", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")
SENTENCE = re.compile(r"^[A-Z][a-z]|^(?!.*(?:<|playsinline)).*[a-z] [a-z]")
"""A label or a few words; no name of a field, kind or file, and no markup."""


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
