"""A loop of a template gives its text in one piece, and the same text as ever."""

from __future__ import annotations

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined, UndefinedError

from app.whole_loops import WholeLoops

PAGE = """{% extends "base" %}{% macro bold(x) %}<b>{{ x }}</b>{% endmacro %}
{% block content %}
{% for row in rows if row %}{{ loop.index }}
{% for cell in row %}{{ bold(cell) }}{% else %}none{% endfor %}
{% include "part" %}{% set seen = row %}
{% endfor %}
{{ seen is defined }}{% for x in () %}{% else %}empty{% endfor %}
{% endblock %}"""
TEMPLATES = {
    "base": "<main>{% block content %}{% endblock %}</main>",
    "page": PAGE,
    "part": "{{ row | length }}{% for cell in row %}, {{ cell }}{% endfor %};",
    "tree": "{% for x in rows recursive %}{{ x.n }}({{ loop(x.below) }}){% endfor %}",
}


def environment(code: type | None = None) -> Environment:
    made = Environment(loader=DictLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    if code:
        made.code_generator_class = code
    return made


def test_the_text_is_that_of_jinja() -> None:
    rows = [["<i>", "&"], [], ["a"]]
    text = environment(WholeLoops).get_template("page").render(rows=rows)
    assert text == environment().get_template("page").render(rows=rows)
    assert "<b>&lt;i&gt;</b><b>&amp;</b>" in text and "empty" in text


def test_a_loop_that_calls_itself() -> None:
    rows = [{"n": 1, "below": [{"n": 2, "below": []}]}]
    assert environment(WholeLoops).get_template("tree").render(rows=rows) == "1(2())"


def test_a_loop_is_one_piece() -> None:
    template = environment(WholeLoops).from_string("{% for x in rows %}{{ x }}, {% endfor %}!")
    assert list(template.generate(rows=range(3))) == ["0, 1, 2, ", "!"]


def test_what_is_unknown_in_a_loop_still_fails() -> None:
    with pytest.raises(UndefinedError):
        environment(WholeLoops).from_string("{% for x in rows %}{{ missing }}{% endfor %}").render(rows=[1])
