"""From the list, the tests of the sources and the outcomes of a run to how each promise stands; and its paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pytest

from app.privacy.promises import Promise, Promises, Proof, Standing
from tests.promises.collected import ROOT, PromiseTest, all_tests, elsewhere, ids_of, read_tests, rows

FAILED = "A test of it did not pass in this run."
HEADS = {
    "J4": "The platform's own privacy policy",
    "T0": "A therapy platform's policy",
    "C1": "A telehealth platform's policy",
    "A2": "A clinic's policy",
    "R3": "A shop's policy",
}


@dataclass
class Outcomes:
    """A pytest plugin: whether each test function passed, with all its parameters and fixtures."""

    passed: dict[str, bool] = field(default_factory=dict)
    """`tests/folder/test_file.py::test_name` -> outcome; a test that was skipped or failed as expected did not pass."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            name = report.nodeid.partition("[")[0]
            self.passed[name] = self.passed.get(name, True) and report.passed


@dataclass(frozen=True)
class Sources:
    """What stands in the sources: rows of the list, of elsewhere.csv, and the tests."""

    listed: Sequence[Mapping[str, str]]
    elsewhere: Mapping[str, Mapping[str, str]]
    tests: Mapping[str, Sequence[PromiseTest]]
    """id of a row -> the tests that answer for it; [] for none."""

    def failed(self, row: str, passed: Mapping[str, bool]) -> bool:
        """Whether a test that is expected to pass did not."""
        return not all(passed.get(node_of(test), False) for test in self.tests[row] if test.xfail is None)

    def xfail(self, row: str) -> str:
        """What is missing, as the expected failures say."""
        reasons = [str(test.xfail.get("reason", "")) for test in self.tests[row] if test.xfail is not None]
        return "; ".join(dict.fromkeys(reasons))


def read_sources() -> Sources:
    listed = rows()
    here: dict[str, list[PromiseTest]] = {}
    for test in all_tests():
        here.setdefault(test.promise or "", []).append(test)
    others = {row["id"]: row for row in elsewhere()}
    tests = {
        row["id"]: [
            *(test for name in ids_of(row["id"]) for test in here.get(name, ())),
            *_named(others.get(row["id"], {}).get("tests", ""), here),
        ]
        for row in listed
    }
    return Sources(listed, others, tests)


def _named(tests: str, here: Mapping[str, Sequence[PromiseTest]]) -> Iterator[PromiseTest]:
    """Raises LookupError for a test that is not in the sources."""
    for name in tests.split():
        place, found, test = name.partition("::")
        if found:
            try:
                yield next(t for t in read_tests((ROOT / "tests" / place).read_text(), place) if t.name == test)
            except (StopIteration, OSError):
                raise LookupError(f"elsewhere.csv names {name}, which is not there") from None
        elif name in here:
            yield from here[name]
        else:
            raise LookupError(f"elsewhere.csv names {name}, which has no test")


def path_of(test: PromiseTest) -> str:
    return f"tests/{test.place if '/' in test.place else 'promises/' + test.place}"


def node_of(test: PromiseTest) -> str:
    return f"{path_of(test)}::{test.name}"


def stand(sources: Sources, passed: Mapping[str, bool], *, commit: str, ran_on: date) -> Promises:
    """Kept is what has tests and every one of them passed; a failure is no secret either."""
    return Promises(commit=commit, ran_on=ran_on, rows=tuple(_row(sources, row, passed) for row in sources.listed))


def _row(sources: Sources, row: Mapping[str, str], passed: Mapping[str, bool]) -> Promise:
    name = row["id"]
    proofs = tuple(
        sorted(
            (Proof(file=path_of(t), name=t.name, passed=passed.get(node_of(t), False)) for t in sources.tests[name]),
            key=lambda proof: (proof.file, proof.name),
        )
    )
    standing, reason = Standing.KEPT, ""
    if not proofs:
        answer = sources.elsewhere[name]
        standing, reason = Standing(answer["answer"]), answer["reason"]
    elif not all(proof.passed for proof in proofs):
        standing, reason = Standing.NOT_YET, FAILED if sources.failed(name, passed) else _sentence(sources.xfail(name))
    return Promise(id=name, promise=row["promise"], standing=standing, reason=reason, tests=proofs)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def out_of_step(sources: Sources, promises: Promises) -> list[str]:
    """What differs between the data file and the sources; the outcomes themselves are the run's."""
    wrong = [] if [row["id"] for row in sources.listed] == [row.id for row in promises.rows] else ["the ids"]
    texts = {row["id"]: row["promise"] for row in sources.listed}
    for row in promises.rows:
        if row.id not in texts:
            continue
        if row.promise != texts[row.id]:
            wrong.append(f"{row.id}: the text of the promise")
        passed = {f"{proof.file}::{proof.name}": proof.passed for proof in row.tests}
        expected = _row(sources, {"id": row.id, "promise": row.promise}, passed)
        if [p.name for p in expected.tests] != [p.name for p in row.tests] or list(passed) != [
            f"{p.file}::{p.name}" for p in expected.tests
        ]:
            wrong.append(f"{row.id}: the names of its tests")
        elif (expected.standing, expected.reason) != (row.standing, row.reason):
            wrong.append(f"{row.id}: its standing or its reason")
        elif any(passed[node_of(t)] for t in sources.tests[row.id] if t.xfail is not None):
            wrong.append(f"{row.id}: a test that is expected to fail is said to have passed")
    return wrong


def paper(promises: Promises) -> str:
    """docs/promises.md."""
    counts = ", ".join(f"{promises.count(one)} {one}" for one in Standing)
    lines = [
        "# Promises and their tests",
        "",
        "Written by `make promises` from [the list](promises.csv) and a run of the tests: do not edit it by hand.",
        f"Tested on {promises.ran_on:%Y-%m-%d} at commit `{promises.commit}`: {counts}.",
        "",
        "*Kept*: every test named passed in that run. *Not yet*: something is missing, or a test of it failed.",
        "*Not applicable*: it speaks of something that is not done here.",
    ]
    for document, promised in promises.of(None):
        lines += [
            "",
            f"## {HEADS[document]} ({document})",
            "",
            "| | Promise | Stands | Why, or the tests |",
            "|-|-|-|-|",
        ]
        lines += [_line(row) for row in promised]
    return "\n".join(lines) + "\n"


def _line(row: Promise) -> str:
    tests = [f"[{proof.name}](../{proof.file})" for proof in row.tests if proof.passed]
    told = "<br>".join([*([row.reason] if row.reason else []), *tests])
    return f"| {row.id} | {_cell(row.promise)} | {row.standing} | {_cell(told)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
