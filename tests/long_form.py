"""Long forms of tests: parts that run one after the other, each a pytest run of its own, with figures as JSON.

The figures are what tests gave tests.hostile.trial.note. Used by `make trials` and `make trust`. A long run replaces
what the file of results says of the parts that ran, each with its moment, machine and seed, and with the tests that
were skipped and why: a part of which nothing ran has not passed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.machine import this_machine

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Tests, and how much of them: environment of the long and of the short form."""

    tests: tuple[str, ...]
    long: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)
    limit_s: int = 3600


class Outcome(StrEnum):
    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What pytest says of a run. skipped: tests by name, with the reason."""

    ran: int
    skipped: Mapping[str, str]

    def outcome(self, *, is_well: bool) -> Outcome:
        """is_well: pytest's own word, its exit status."""
        if not is_well or not (self.ran or self.skipped):
            return Outcome.FAILED
        return Outcome.PASSED if self.ran else Outcome.SKIPPED


def report_of(junit: str) -> Report:
    """From the XML that `pytest --junit-xml` writes; of a run that was broken off there is none: an empty text."""
    cases = list(ElementTree.fromstring(junit).iter("testcase")) if junit else []
    skips = {case.get("name", ""): skip.get("message", "") for case in cases for skip in case.findall("skipped")}
    return Report(ran=len(cases) - len(skips), skipped=skips)


def run_parts(program: str, about: str, parts: Mapping[str, Part], results: Path) -> int:
    """The command line of one set of parts, `--short` and `--only`; exit status 1 when a part failed."""
    asked = argparse.ArgumentParser(prog=f"python -m {program}", description=about.partition("\n")[0])
    asked.add_argument("--short", action="store_true", help="a little of each part")
    asked.add_argument("--only", default="", help="parts, comma-separated: " + ", ".join(parts))
    given = asked.parse_args()
    names = [name.strip() for name in given.only.split(",") if name.strip()] or list(parts)
    if unknown := [name for name in names if name not in parts]:
        asked.error(f"no such part: {', '.join(unknown)}")
    seed = os.environ.get("TRIAL_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"TRIAL_SEED={seed}", flush=True)
    ran = {name: _run(parts[name], short=given.short, seed=seed) for name in names}
    if not given.short:  # each part keeps its own last long run
        before = json.loads(results.read_text()) if results.exists() else {}
        kept = {name: part for name, part in before.items() if name in parts}
        results.write_text(json.dumps(kept | ran, indent=1) + "\n")
    for name, part in ran.items():
        print(f"{name}: {part['outcome']} in {part['seconds']} s")
        for test, why in part["skipped"].items():
            print(f"  skipped {test}: {why}")
    return 1 if any(part["outcome"] == Outcome.FAILED for part in ran.values()) else 0


def _run(part: Part, *, short: bool, seed: str) -> dict[str, Any]:
    """One part: whether it passed, what of it was skipped, what it was asked for, and the figures its tests noted."""
    much = part.short if short else part.long
    with tempfile.TemporaryDirectory(prefix="junier-trials-") as folder:
        figures, junit = Path(folder) / "figures", Path(folder) / "junit.xml"
        fuzz_seed = str(int(seed) % (1 << 31))
        environment = os.environ | much | {"TRIAL_SEED": seed, "FUZZ_SEED": fuzz_seed, "TRIAL_FIGURES": str(figures)}
        options = ["-q", "-p", "no:cacheprovider", "-o", "timeout=0", f"--junit-xml={junit}"]
        command = [sys.executable, "-m", "pytest", *options, *part.tests]
        began_at = time.monotonic()
        try:
            is_well = not subprocess.run(
                command, cwd=ROOT, env=environment, timeout=part.limit_s, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            is_well = False
        report = report_of(junit.read_text() if junit.exists() else "")
        lines = figures.read_text().splitlines() if figures.exists() else []
    return {
        "outcome": report.outcome(is_well=is_well),
        "skipped": report.skipped,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "seed": int(seed),
        "seconds": round(time.monotonic() - began_at),
        "asked": much,
        "figures": [json.loads(line) for line in lines],
    }
