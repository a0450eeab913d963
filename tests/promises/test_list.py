"""The list of promises and its tests stay in step: no promise without a test, no test without a promise."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest

from app.privacy.promises import FILE, Proof, Standing, read, written
from tests.promises.__main__ import PAPER
from tests.promises.collected import LIST, PromiseTest, all_tests, elsewhere, listed_ids, read_tests, rows
from tests.promises.standing import FAILED, Sources, node_of, out_of_step, paper, read_sources, stand

LIST_HASH = "f2cc4d1c3cb7502a06069bbb0735be5ded05c5d934382de955b863ddab905bb1"
"""The list was given to us: a promise that is hard to keep becomes an expected failure, not a shorter list."""
COLUMNS = ["id", "promise", "applies", "capability", "proof"]
OURS = {f"J4-{number:02d}" for number in range(1, 25)} - {"J4-19"} | {f"J4-19{letter}" for letter in "abcde"}


def test_the_list_is_the_one_that_was_given():
    assert sha256(LIST.read_bytes()).hexdigest() == LIST_HASH


def test_the_list_is_whole():
    with LIST.open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == COLUMNS
    ids = listed_ids()
    assert len(ids) == len(set(ids))
    assert {name for name in ids if name.startswith("J4-")} == OURS
    assert all(row["promise"] and row["applies"] and row["proof"] for row in rows())


def test_every_promise_has_a_test():
    assert OURS - {test.promise for test in all_tests()} == set()


def test_every_test_names_a_promise_of_the_list():
    known = set(listed_ids())
    assert [f"{test.place}: {test.name}" for test in all_tests() if test.promise not in known] == []


def test_every_test_has_a_body_that_can_fail():
    assert [f"{test.place}: {test.name}" for test in all_tests() if not can_fail(test)] == []


def test_every_expected_failure_is_strict_and_says_what_is_missing():
    vague = [
        f"{test.place}: {test.name}"
        for test in all_tests()
        if test.xfail is not None
        and not (
            test.xfail.get("strict") is True
            and test.xfail.get("raises") == "AssertionError"  # a broken test is no unkept promise
            and len(str(test.xfail.get("reason", ""))) >= 20
        )
    ]
    assert vague == []


def test_no_two_tests_of_a_file_share_a_name():
    names = [(test.place, test.name) for test in all_tests()]
    assert len(names) == len(set(names))


def test_every_other_promise_is_answered_once_by_tests_or_a_reason():
    answered = [row["id"] for row in elsewhere()]
    named = {test.promise for test in all_tests()}
    assert answered == [row["id"] for row in rows() if row["id"] not in named]
    wrong = [
        row["id"]
        for row in elsewhere()
        if row["answer"] not in ("tested", "not yet", "not applicable")
        or bool(row["tests"]) != (row["answer"] == "tested")
        or (row["answer"] != "tested" and len(row["reason"]) < 20)
    ]
    assert wrong == []


def test_what_the_page_shows_is_in_step_with_the_list_and_the_tests():
    shown = read(FILE.read_text(encoding="utf-8"))
    assert out_of_step(read_sources(), shown) == [], "run `make promises`"
    assert PAPER.read_text(encoding="utf-8") == paper(shown), "docs/promises.md: run `make promises`"
    assert FILE.read_text(encoding="utf-8") == written(shown)


LACKS = '@pytest.mark.xfail(strict=True, raises=AssertionError, reason="tea is not served")\n'
WORLD = Sources(
    listed=[{"id": f"J4-{n}", "promise": f"Promise {n}"} for n in ("01", "02", "03", "04")],
    elsewhere={"J4-04": {"answer": "not applicable", "reason": "Nobody drinks here."}},
    tests={
        "J4-01": list(
            read_tests("def test_j4_01_a():\n    assert a()\ndef test_j4_01_b():\n    assert b()", "test_x.py")
        ),
        "J4-02": list(
            read_tests(f"def test_j4_02_a():\n    assert a()\n{LACKS}def test_j4_02_b(): assert b()", "test_x.py")
        ),
        "J4-03": list(read_tests("def test_a():\n    assert a()", "app/test_y.py")),
        "J4-04": [],
    },
)
ALL_PASS = {node_of(test): test.xfail is None for tests in WORLD.tests.values() for test in tests}


def standings(passed: dict[str, bool]) -> list[tuple[str, str]]:
    return [(row.standing, row.reason) for row in stand(WORLD, passed, commit="1", ran_on=date(2027, 5, 3)).rows]


def test_a_promise_is_kept_when_all_its_tests_passed_and_only_then():
    missing, never = ("not yet", "Tea is not served."), ("not applicable", "Nobody drinks here.")
    assert standings(ALL_PASS) == [("kept", ""), missing, ("kept", ""), never]
    failed = ALL_PASS | {"tests/promises/test_x.py::test_j4_01_b": False}
    assert standings(failed)[0] == ("not yet", FAILED)
    assert standings(ALL_PASS | {"tests/promises/test_x.py::test_j4_02_a": False})[1] == ("not yet", FAILED)
    not_run = {name: passed for name, passed in ALL_PASS.items() if "test_y" not in name}
    assert standings(not_run)[2] == ("not yet", FAILED)
    assert [standing for standing, _ in standings({})] == ["not yet", "not yet", "not yet", "not applicable"]


def test_whatever_is_out_of_step_is_found():
    told = stand(WORLD, ALL_PASS, commit="1", ran_on=date(2027, 5, 3))
    assert out_of_step(WORLD, told) == [] and read(written(told)) == told
    first, second, third, last = told.rows
    for row, rest, what in (
        (replace(first, promise="Promise 1"), told.rows[1:], "J4-01: the text of the promise"),
        (replace(first, tests=first.tests[:1]), told.rows[1:], "J4-01: the names of its tests"),
        (
            replace(first, standing=Standing.NOT_YET, reason="Later."),
            told.rows[1:],
            "J4-01: its standing or its reason",
        ),
        (first, (replace(second, standing=Standing.KEPT, reason=""), third, last), "J4-02: its standing or its reason"),
        (first, (second, third), "the ids"),
        (first, (second, third, replace(last, reason="")), "J4-04: its standing or its reason"),
    ):
        assert out_of_step(WORLD, replace(told, rows=(row, *rest))) == [what]
    passed = tuple(Proof(file=proof.file, name=proof.name, passed=True) for proof in second.tests)
    claimed = replace(second, tests=passed, standing=Standing.KEPT, reason="")
    assert out_of_step(WORLD, replace(told, rows=(first, claimed, third, last))) == [
        "J4-02: a test that is expected to fail is said to have passed"
    ]


def can_fail(test: PromiseTest) -> bool:
    """It asserts, expects an exception, or calls something named check_… that does."""
    if any(isinstance(n, ast.Call) and ast.unparse(n.func) in ("pytest.fail", "pytest.skip") for n in _inside(test)):
        return False
    return any(
        (isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant))
        or (isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2].startswith(("raises", "check_")))
        for node in _inside(test)
    )


def _inside(test: PromiseTest) -> Iterator[ast.AST]:
    for statement in test.body:
        yield from ast.walk(statement)


@pytest.mark.parametrize(
    ("source", "promise", "fails"),
    [
        ("def test_j4_01_x():\n    assert page()", "J4-01", True),
        ("async def test_j4_19a_x():\n    with pytest.raises(KeyError):\n        ask()", "J4-19a", True),
        ("def test_j4_01_x():\n    pass", "J4-01", False),
        ("def test_j4_01_x():\n    '''Kept.'''\n    ...", "J4-01", False),
        ("def test_j4_01_x():\n    assert False", "J4-01", False),
        ("def test_j4_01_x():\n    pytest.fail('later')", "J4-01", False),
        ("def test_j4_99_x():\n    assert page()", "J4-99", True),
        ("def test_something_else():\n    assert page()", None, True),
    ],
)
def test_this_check_reads_tests_rightly(source: str, promise: str | None, fails: bool):
    [test] = read_tests(source, "here")
    assert (test.promise, can_fail(test)) == (promise, fails)
