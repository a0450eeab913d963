"""`make trials`: the long form of the crash, loss, fuzz and storage suites; figures go to bench/trials.json.

    python -m tests.trials                      all of it, about an hour
    python -m tests.trials --short              the same parts, a minute or two each, to see that they work
    python -m tests.trials --only kills,fuzz    some of it; TRIAL_SEED repeats a run

Each part is a pytest run of its own; a part that fails is told with its seeds, the others go on.
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
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import this_machine

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "trials.json"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Tests, and how much of them: environment of the long and of the short form."""

    tests: tuple[str, ...]
    long: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)
    limit_s: int = 3600


PARTS = {
    "kills": Part(tests=("tests/hostile/test_seeded_kills.py",), long={"KILLS": "20"}, short={"KILLS": "2"}),
    "losses and cuts": Part(
        tests=("tests/trials/networks.py",),
        short={"LOSS_SECONDS": "4", "CUT_SECONDS": "1"},
    ),
    "fuzz": Part(tests=("tests/hostile/test_fuzz.py",), long={"FUZZ_CASES": "2000000"}, short={"FUZZ_CASES": "20000"}),
    "storage faults": Part(
        tests=("tests/trials/storage.py", "tests/hostile/test_storage_faults.py"),
        long={"FAULT_SECONDS": "600"},
        short={"FAULT_SECONDS": "20"},
    ),
    "full disk and two nodes": Part(tests=("tests/hostile/test_disk_full.py", "tests/hostile/test_two_nodes.py")),
}


def main() -> int:
    """Exit status 1 when a part failed."""
    asked = argparse.ArgumentParser(prog="python -m tests.trials", description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--short", action="store_true", help="a little of each part")
    asked.add_argument("--only", default="", help="parts, comma-separated: " + ", ".join(PARTS))
    given = asked.parse_args()
    names = [name.strip() for name in given.only.split(",") if name.strip()] or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        asked.error(f"no such part: {', '.join(unknown)}")
    seed = os.environ.get("TRIAL_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"TRIAL_SEED={seed}", flush=True)
    ran = {name: run(PARTS[name], short=given.short, seed=seed) for name in names}
    told = {
        "form": "short" if given.short else "long",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "seed": int(seed),
        "parts": ran,
    }
    if len(names) == len(PARTS):  # some of it is no record of all of it
        RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    for name, part in ran.items():
        print(f"{name}: {'passed' if part['passed'] else 'FAILED'} in {part['seconds']} s")
    return 0 if all(part["passed"] for part in ran.values()) else 1


def run(part: Part, *, short: bool, seed: str) -> dict[str, Any]:
    """One part: whether it passed, what it was asked for, and the figures its tests noted."""
    much = part.short if short else part.long
    with tempfile.TemporaryDirectory(prefix="junier-trials-") as folder:
        figures = Path(folder) / "figures"
        fuzz_seed = str(int(seed) % (1 << 31))
        environment = os.environ | much | {"TRIAL_SEED": seed, "FUZZ_SEED": fuzz_seed, "TRIAL_FIGURES": str(figures)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=0", *part.tests]
        began_at = time.monotonic()
        try:
            passed = not subprocess.run(
                command, cwd=ROOT, env=environment, timeout=part.limit_s, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            passed = False
        lines = figures.read_text().splitlines() if figures.exists() else []
    return {
        "passed": passed,
        "seconds": round(time.monotonic() - began_at),
        "asked": much,
        "figures": [json.loads(line) for line in lines],
    }


if __name__ == "__main__":
    sys.exit(main())
