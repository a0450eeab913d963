"""Values in pages say exactly what MarkupSafe's escape() says of them."""

from __future__ import annotations

from enum import StrEnum
from uuid import uuid4

import pytest
from jinja2 import Environment
from markupsafe import Markup, escape

from app.escaping import as_text
from app.whole_loops import WholeLoops


class _Word(StrEnum):
    SHARP = "<b>"


class _Drawn:
    def __html__(self) -> str:
        return "<i>drawn</i>"

    def __str__(self) -> str:
        return "<not this>"


@pytest.mark.parametrize(
    "value",
    ["plain", "a & b", "<b>", 'say "it"', "it's", ">", "", Markup("<b>"), 7, True, None, 1.5, uuid4(), _Word.SHARP]
    + [_Drawn(), ["<b>"]],
)
def test_it_says_what_escape_says(value: object) -> None:
    assert str(as_text(value)) == str(escape(value))


def test_templates_escape_in_and_out_of_loops_and_macros() -> None:
    environment = Environment(autoescape=True)
    environment.code_generator_class = WholeLoops
    source = (
        "{% macro of(x) %}<i>{{ x }}</i>{% endmacro %}{% set kept %}{{ v }}{% endset %}"
        "{{ v }}{{ kept }}{% for one in [v] %}{{ one }}{{ of(one) }}{{ one | safe }}{% endfor %}"
        "{% autoescape false %}{{ v }}{% endautoescape %}"
    )
    told = environment.from_string(source).render(v="<b>")
    assert told == "&lt;b&gt;&lt;b&gt;&lt;b&gt;<i>&lt;b&gt;</i><b><b>"
