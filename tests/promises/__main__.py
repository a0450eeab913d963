"""`make promises`: runs the tests of the promises and writes docs/promises.md and the data of the page /promises.

Arguments go to pytest. Ends with pytest's exit status; what failed is written down too."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from app.privacy.promises import FILE, written
from tests.promises.collected import ROOT
from tests.promises.standing import Outcomes, node_of, paper, read_sources, stand

PAPER = ROOT / "docs" / "promises.md"
RAN = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def main(arguments: list[str]) -> int:
    sources = read_sources()
    outcomes = Outcomes()
    nodes = sorted({node_of(test) for tests in sources.tests.values() for test in tests})
    commit, ran_on = _commit(), datetime.now(UTC).date()
    ended = pytest.main(["-q", "-p", "no:cacheprovider", *arguments, *nodes], plugins=[outcomes])
    if ended not in RAN:
        return int(ended)
    promises = stand(sources, outcomes.passed, commit=commit, ran_on=ran_on)
    FILE.write_text(written(promises), encoding="utf-8")
    PAPER.write_text(paper(promises), encoding="utf-8")
    return int(ended)


def _commit() -> str:
    """Of the sources as they stand, with a plus when something in them is not committed."""
    head = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
