"""The list of promises and its tests stay in step: no promise without a test, no test without a promise."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.promises.collected import LIST, PromiseTest, all_tests, listed_ids, read_tests, rows

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
