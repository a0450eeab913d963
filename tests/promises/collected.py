"""The list of promises and the tests of the sources, read without running anything."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "promises.csv"
ELSEWHERE = Path(__file__).with_name("elsewhere.csv")
"""What answers for the promises that no test of this folder names: tests of other folders or of other promises,
else a reason. Columns: id; answer (tested, not yet, not applicable); tests, apart by blanks, each
`folder/test_file.py::test_name` below tests/ or an id of the list; reason."""
_NAME = re.compile(r"test_(?P<document>j4|t0|c1|a2|r3)_(?P<number>\d\d[a-z]?)_\w+")


@dataclass(frozen=True)
class PromiseTest:
    """One test function. place: its file below tests/promises, or below tests/ when it stands elsewhere;
    xfail: the keywords of its expected failure, None when it has to pass."""

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
    """The tests of this folder; test_list.py watches over them and is none."""
    files = sorted(file for file in Path(__file__).parent.glob("test_*.py") if file.name != "test_list.py")
    return [test for file in files for test in read_tests(file.read_text(), file.name)]


def rows() -> list[dict[str, str]]:
    return _read(LIST)


def elsewhere() -> list[dict[str, str]]:
    return _read(ELSEWHERE)


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def ids_of(written: str) -> list[str]:
    """T0-34..36 and T0-44,45 stand for several promises."""
    document, _, numbers = written.partition("-")
    if ".." in numbers:
        first, last = numbers.split("..")
        return [f"{document}-{number:02d}" for number in range(int(first), int(last) + 1)]
    return [f"{document}-{number}" for number in numbers.split(",")]


def listed_ids() -> list[str]:
    return [name for row in rows() for name in ids_of(row["id"])]
