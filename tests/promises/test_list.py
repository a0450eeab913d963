"""The list of promises and its tests stay in step: no promise without a test, no test without a promise."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

LIST = Path(__file__).parents[2] / "docs" / "promises.csv"
LIST_HASH = "f2cc4d1c3cb7502a06069bbb0735be5ded05c5d934382de955b863ddab905bb1"
"""The list was given to us: a promise that is hard to keep becomes an expected failure, not a shorter list."""
COLUMNS = ["id", "promise", "applies", "capability", "proof"]
OURS = {f"J4-{number:02d}" for number in range(1, 25)} - {"J4-19"} | {f"J4-19{letter}" for letter in "abcde"}
_NAME = re.compile(r"test_(?P<document>j4|t0|c1|a2|r3)_(?P<number>\d\d[a-z]?)_\w+")


@dataclass(frozen=True)
class PromiseTest:
    """One test function of this folder. xfail: the keywords of its expected failure, None when it has to pass."""

    place: str
    name: str
    body: list[ast.stmt]
    xfail: dict[str, object] | None

    @property
    def promise(self) -> str | None:
        found = _NAME.fullmatch(self.name)
        return f"{found['document'].upper()}-{found['number']}" if found else None


def read_tests(source: str, place: str) -> Iterator[PromiseTest]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield PromiseTest(place, node.name, node.body, _xfail(node))


def _xfail(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, object] | None:
    for mark in node.decorator_list:
        if "xfail" in ast.unparse(mark):
            keywords = mark.keywords if isinstance(mark, ast.Call) else []
            return {
                k.arg or "": k.value.value if isinstance(k.value, ast.Constant) else ast.unparse(k.value)
                for k in keywords
            }
    return None


def all_tests() -> list[PromiseTest]:
    files = sorted(file for file in Path(__file__).parent.glob("test_*.py") if file.name != Path(__file__).name)
    return [test for file in files for test in read_tests(file.read_text(), file.name)]


def rows() -> list[dict[str, str]]:
    with LIST.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def listed_ids() -> list[str]:
    """T0-34..36 and T0-44,45 stand for several promises."""
    ids = []
    for row in rows():
        document, _, numbers = row["id"].partition("-")
        if ".." in numbers:
            first, last = numbers.split("..")
            ids += [f"{document}-{number:02d}" for number in range(int(first), int(last) + 1)]
        else:
            ids += [f"{document}-{number}" for number in numbers.split(",")]
    return ids


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
